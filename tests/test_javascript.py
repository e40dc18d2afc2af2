"""The widgets' JavaScript modules, tested in node by tests/javascript/*.test.mjs."""

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from pg2lib.apps.pose_studio import walking
from pg2lib.apps.pose_studio.editor import guess
from pg2lib.apps.site import studio_page
from pg2lib.data.keypoints import LIMBS

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


def in_node(code: str):
    """What an ES module prints as JSON."""
    node = [NODE, "--input-type=module"]
    done = subprocess.run(node, input=code, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.skipif(NODE is None, reason="node is not installed")
def test_the_page_guesses_a_missing_joint_as_the_notebook_does():
    standing, random = walking.standing(128, 64), np.random.default_rng(0)
    poses = np.where(random.random((20, 18, 1)) < 0.6, random.uniform(5, 60, (20, 18, 2)), -1)
    places = [[None if x < 0 else [x, y] for x, y in pose.tolist()] for pose in poses]
    of = json.dumps({"limbs": LIMBS, "standing": standing.tolist()})
    found = in_node(
        f'import {{ guess }} from "{studio_page.module(studio_page.HERE / "parts.js")}";'
        f"const own = {json.dumps(places)}.map((pose) => pose.map((_, k) => guess(pose, k, {of})));"
        "console.log(JSON.stringify(own.map((pose) => pose.map(({ x, y }) => [x, y]))));"
    )
    expected = [[guess(pose, joint, 128, 64) for joint in range(18)] for pose in poses]
    np.testing.assert_allclose(found, expected, atol=1e-3)


@pytest.mark.skipif(NODE is None, reason="node is not installed")
def test_a_frame_asked_for_after_the_timeline_is_cleared_changes_nothing():
    people = {"poses": [[[1, 1]]], "target": 0, "condition": 0, "swap": [0], "rows": ["G1"]}
    people |= {"height": 2, "width": 1, "joints": ["nose"], "limbs": [], "colours": [[0, 0, 0]]}
    found = in_node(
        f'import {{ Model }} from "{studio_page.module(studio_page.HERE / "page.js")}";'
        f"const model = new Model({json.dumps(people | {'labels': ['a']})}, new Uint8Array(6));"
        'model.seek(3); console.log(JSON.stringify([model.get("frame"), model.editor.pose]));'
    )
    assert found == [0, [[1, 1]]]
