"""requirements.lock: `make lock` writes it, `make` installs from it. Needs only Python 3.11.

python tools/lock.py write          with uv, from pyproject.toml and its extra "test"
python tools/lock.py cpu [FILE]     the lock without torch and what only CUDA needs
python tools/lock.py torch [FILE]   the versions of torch, for another index
"""

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

LOCK = Path("requirements.lock")
TORCH = ("torch", "torchvision")
CUDA = re.compile(r"(nvidia|cuda|triton)\b.*")
# CPython 3.11 to 3.14 on Linux (glibc) and on Macs with Apple silicon, with or without a GPU.
PYTHON = r"(py3|py2\.py3|py311|cp3\d?-abi3|cp3\d+-abi3|cp31[1-4]-cp31[1-4])"
PLATFORM = r"(any|.*manylinux.*_(x86_64|aarch64)|macosx_\d+_\d+_(arm64|universal2))"
WHEEL = re.compile(rf"[^-]+-[^-]+(-\d[^-]*)?-{PYTHON}(-none)?(-abi3)?-{PLATFORM}\.whl")


def write():
    """Resolve anew with uv, which answers in the form of PEP 751."""
    uv = shutil.which("uv") or Path(sys.executable).with_name("uv")
    options = ["--extra", "test", "--universal", "--python-version", "3.11", "--no-header", "-q"]
    command = [uv, "pip", "compile", "pyproject.toml", *options, "--format", "pylock.toml"]
    found = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    LOCK.write_text(text(tomllib.loads(found)["packages"]), encoding="utf-8")
    print(f"wrote {LOCK}: {len(lines_of('all'))} packages")


def text(packages) -> str:
    """The lock: of each package the names of its files as comments, then a line for pip with its
    version, where it is wanted, and the hashes of these files in the same order. No address: pip
    asks the index that it is set to. Left out are wheels of other platforms, the source of a
    package with wheels, and packages without any of these, which only Windows has."""
    blocks = ["# Written by `make lock`."]
    for package in packages:
        files = {file["url"].rsplit("/", 1)[1]: file for file in package.get("wheels", [])}
        files = {name: file for name, file in files.items() if WHEEL.fullmatch(name)}
        if not files and "sdist" in package:
            files = {package["sdist"]["url"].rsplit("/", 1)[1]: package["sdist"]}
        if files:
            where = f" ; {package['marker']}" if "marker" in package else ""
            hashes = " ".join(f"--hash=sha256:{f['hashes']['sha256']}" for f in files.values())
            blocks += [f"# {name}" for name in files]
            blocks.append(f"{package['name']}=={package['version']}{where} {hashes}")
    return "\n".join(blocks) + "\n"


def lines_of(what: str, path=LOCK) -> list[str]:
    found = Path(path).read_text(encoding="utf-8").splitlines()
    found = [(line.split("==")[0], line) for line in found if not line.startswith("#")]
    if what == "torch":
        return [line.split()[0] for name, line in found if name in TORCH]
    left_out = [name in TORCH or CUDA.fullmatch(name) for name, _ in found]
    return [line for (_, line), out in zip(found, left_out) if what == "all" or not out]


if __name__ == "__main__":
    if sys.argv[1:] == ["write"]:
        write()
    elif sys.argv[1:2] and sys.argv[1] in ("cpu", "torch"):
        print("\n".join(lines_of(*sys.argv[1:3])))
    else:
        sys.exit(__doc__)
