"""pylock.toml: `make lock` writes it, `make` installs from it. Needs only Python 3.11.

python tools/lock.py write              with uv, from pyproject.toml and its extra "test"
python tools/lock.py requirements       what pip --require-hashes reads
python tools/lock.py requirements --cpu the same without torch and what only CUDA needs
python tools/lock.py torch              the versions of torch, for another index
"""

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

LOCK = Path("pylock.toml")
PUBLIC = "https://files.pythonhosted.org/packages/"
TORCH = ("torch", "torchvision")
CUDA = re.compile(r"(nvidia|cuda|triton)\b.*")
# CPython 3.11 to 3.14 on Linux (glibc) and on Macs with Apple silicon, with or without a GPU.
PYTHON = r"(py3|py2\.py3|py311|cp3\d?-abi3|cp3\d+-abi3|cp31[1-4]-cp31[1-4])"
PLATFORM = r"(any|.*manylinux.*_(x86_64|aarch64)|macosx_\d+_\d+_(arm64|universal2))"
WHEEL = re.compile(rf"[^-]+-[^-]+(-\d[^-]*)?-{PYTHON}(-none)?(-abi3)?-{PLATFORM}\.whl")


def write():
    """Resolve anew with uv. Files of other platforms are left out, and no address but PyPI's own
    is kept, whatever mirror answered."""
    uv = shutil.which("uv") or Path(sys.executable).with_name("uv")
    options = ["--extra", "test", "--universal", "--python-version", "3.11", "--no-header", "-q"]
    command = [uv, "pip", "compile", "pyproject.toml", *options, "--format", "pylock.toml"]
    lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    LOCK.write_text("\n".join(kept(lines)) + "\n", encoding="utf-8")
    print(f"wrote {LOCK}: {len(packages(LOCK))} packages")


def kept(lines) -> list[str]:
    """The lines of a pylock.toml as uv writes it, a file a line, without what nobody here needs:
    the wheels of other platforms, the source of a package with wheels, and packages without any
    of these, which only Windows has."""
    found = []
    for line in lines:
        line = re.sub(r", upload-time = [^,]+", "", line)
        line = re.sub(r'url = "https://[^"]*/packages/', f'url = "{PUBLIC}', line)
        file = re.search(r'/([^/"]+)", size', line)
        if not file or not line.startswith("    {") or WHEEL.fullmatch(file[1]):
            found.append(line)
    head, *blocks = "\n".join(found).replace("wheels = [\n]\n", "").split("[[packages]]\n")
    blocks = [re.sub(r"sdist = .*\n(?=wheels)", "", block) for block in blocks]
    return (head + "".join(f"[[packages]]\n{b}" for b in blocks if "url = " in b)).splitlines()


def packages(path) -> list[dict]:
    return tomllib.loads(Path(path).read_text(encoding="utf-8"))["packages"]


def requirement(package) -> str:
    """A package as a line of pip's: its version, where it is wanted, the hashes of its files."""
    files = package.get("wheels", []) + ([package["sdist"]] if "sdist" in package else [])
    hashes = " ".join(f"--hash=sha256:{file['hashes']['sha256']}" for file in files)
    where = f" ; {package['marker']}" if "marker" in package else ""
    return f"{package['name']}=={package['version']}{where} {hashes}"


def lines_of(what: str, path=LOCK) -> list[str]:
    found = packages(path)
    if what == "torch":
        return [f"{p['name']}=={p['version']}" for p in found if p["name"] in TORCH]
    if what == "cpu":
        cuda = {p["name"] for p in found if p["name"] in TORCH or CUDA.fullmatch(p["name"])}
        found = [package for package in found if package["name"] not in cuda]
    return [requirement(package) for package in found]


if __name__ == "__main__":
    if sys.argv[1:] == ["write"]:
        write()
    elif sys.argv[1:2] and sys.argv[1] in ("requirements", "cpu", "torch"):
        print("\n".join(lines_of(*sys.argv[1:3])))
    else:
        sys.exit(__doc__)
