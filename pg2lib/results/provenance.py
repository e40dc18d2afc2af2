"""Figures as files, each with a JSON file that says what made it."""

import platform
import subprocess
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pg2lib


def stamp() -> dict:
    """Time, versions and commit of this moment, for the record of a file."""
    return {
        "written": time.strftime("%Y-%m-%d %H:%M:%S"),
        "versions": versions(),
        "commit": commit(),
    }


def versions() -> dict:
    """Versions of Python, this library and the packages that determine what a figure shows."""
    found = {"python": platform.python_version(), "pg2lib": pg2lib.__version__}
    for name in ("torch", "numpy", "scikit-image", "matplotlib"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = None
    return found


def commit() -> str | None:
    """The checked-out commit, followed by "+" if tracked files differ from it; None outside git."""

    def git(*arguments):
        return subprocess.run(
            ["git", *arguments], cwd=Path(__file__).parent, capture_output=True, text=True,
            timeout=10, check=True,
        ).stdout.strip()  # fmt: skip

    try:
        changed = git("status", "--porcelain", "--untracked-files=no", "--", ".")
        return git("rev-parse", "--short=12", "HEAD") + ("+" if changed else "")
    except (OSError, subprocess.SubprocessError):
        return None
