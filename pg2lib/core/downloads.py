"""Published weights: found locally or downloaded; the checksum is verified either way."""

import http.client
import os
import socket
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch

from pg2lib.core.files import UserError, digest

TIMEOUT = 8  # seconds to connect and between bytes; the longest wait when offline


@dataclass(frozen=True)
class Weights:
    """A published file of weights."""

    title: str  # for messages
    file: str
    sha256: str  # of the file, or its first digits
    url: str
    variable: str  # the environment variable that names the file or its folder

    @property
    def in_hub(self) -> Path:
        """Path of the file in torch hub's cache."""
        return Path(torch.hub.get_dir()) / "checkpoints" / self.file


class NoWeights(UserError):
    """Weights are not available; only what needs them fails."""


def find(weights: Weights, given=None) -> Path | None:
    """The verified file on this machine, or None: the file or folder `given`, else the environment
    variable's, else torch hub's.

    Raises NoWeights if a named path does not exist or the checksum is wrong.
    """
    named = given or os.environ.get(weights.variable)
    path = Path(named).expanduser() if named else weights.in_hub
    path = path / weights.file if path.is_dir() else path
    if path.is_file():
        if not (found := digest(path)).startswith(weights.sha256):
            sums = f"SHA-256 {found[:8]}..., expected {weights.sha256[:8]}..."
            raise NoWeights(f"{path} is not {weights.title} ({sums}); fetch it again")
        return path
    if named:
        remedy = f"does not exist; give the path of {weights.file}"
        raise NoWeights(f"{path}, named for {weights.title}, {remedy}")
    return None


def require(weights: Weights, given=None, download: bool = True) -> Path:
    """Like `find`, but downloads a missing file to torch hub's cache.

    Each process tries once per file and fails within seconds when offline; `download=False` or
    PG2_DOWNLOAD=off never tries. Raises NoWeights: no file, no network or a wrong checksum.
    """
    if path := find(weights, given):
        return path
    path = weights.in_hub
    off = not download or os.environ.get("PG2_DOWNLOAD", "").lower() == "off"
    if failure := "downloads are off" if off else fetch(path, weights):
        raise NoWeights(
            f"no {weights.file} in {path.parent} ({failure}); set {weights.variable} to its "
            f"folder, or put the file there from {weights.url}"
        )
    return path


@cache
def fetch(path: Path, weights: Weights) -> str | None:
    """Download the weights to `path`. Returns None, or why it failed."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(TIMEOUT)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        shown = sys.stderr.isatty() and os.environ.get("PG2_PROGRESS") != "off"
        torch.hub.download_url_to_file(weights.url, str(path), weights.sha256, progress=shown)
    except (OSError, ValueError, RuntimeError, http.client.HTTPException) as error:
        return str(getattr(error, "reason", error))
    finally:
        socket.setdefaulttimeout(before)
    return None
