"""The widgets' JavaScript modules, tested in node by tests/javascript/*.test.mjs."""

import shutil
import subprocess
from pathlib import Path

import pytest

FILES = sorted((Path(__file__).parent / "javascript").glob("*.test.mjs"))
NODE = shutil.which("node")


def major_version():
    done = subprocess.run([NODE, "--version"], capture_output=True, text=True, check=True)
    return int(done.stdout.lstrip("v").split(".")[0])


@pytest.mark.skipif(NODE is None, reason="node is not installed; it runs the JavaScript tests")
@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name.removesuffix(".test.mjs"))
def test_module_in_node(file):
    if major_version() < 20:
        pytest.skip(f"{NODE} is older than version 20, whose test runner these tests need")
    done = subprocess.run([NODE, "--test", str(file)], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    # A file without tests passes as one test; these have some.
    passed = next(line for line in done.stdout.splitlines() if line.startswith("# pass "))
    assert int(passed.split()[-1]) > 1
