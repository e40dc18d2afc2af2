"""Weights that others published: found on this machine, or downloaded, and checked either way."""

import os
import threading
import time
import urllib.request
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch

from pg2lib.core.files import UserError, sha256, write_atomically

CONNECT_SECONDS = 8  # what being offline may cost, once per process and file
STALL_SECONDS = 10
DOWNLOAD_SECONDS = 600


@dataclass(frozen=True)
class Weights:
    """A file of weights: what it is, its name, its SHA-256 (or how that begins), where it can be
    had, and the environment variable that names the file or its folder."""

    title: str
    file: str
    sha256: str
    url: str
    variable: str


class NoWeights(UserError):
    """Weights cannot be had; everything but what needs them goes on."""


def find(weights: Weights, given=None) -> Path | None:
    """The checked file on this machine: the file or folder `given`, else that of the environment
    variable, else among torch hub's checkpoints; None if it is not there.

    Raises:
        NoWeights: what is named is not there, or a file with another checksum.
    """
    named = given or os.environ.get(weights.variable)
    path = Path(named).expanduser() if named else in_hub(weights)
    path = path / weights.file if path.is_dir() else path
    if path.is_file():
        return checked(path, weights)
    if named:
        raise NoWeights(
            f"{path}, named for {weights.title}, is not there; give the path of {weights.file}"
        )
    return None


def require(weights: Weights, given=None, download: bool = True) -> Path:
    """Like `find`, but what is not here is downloaded to torch hub's checkpoints.

    Tried once per process and file, and told within seconds where there is no network;
    PG2_DOWNLOAD=off in the environment forbids it as `download` does.

    Raises:
        NoWeights: no file, no network, or a wrong checksum; says which.
    """
    if path := find(weights, given):
        return path
    path = in_hub(weights)
    off = not download or os.environ.get("PG2_DOWNLOAD", "").lower() == "off"
    if failure := "downloads are off" if off else fetch(path, weights):
        raise NoWeights(
            f"no {weights.file} in {path.parent} ({failure}); set {weights.variable} to its "
            f"folder, or put the file there from {weights.url}"
        )
    return path


def in_hub(weights: Weights) -> Path:
    """Where torch hub keeps the file."""
    return Path(torch.hub.get_dir()) / "checkpoints" / weights.file


def checked(path: Path, weights: Weights) -> Path:
    """The path, if its content has the right checksum; else NoWeights."""
    stat = path.stat()
    digest = digest_of(path, stat.st_size, stat.st_mtime_ns)
    if not digest.startswith(weights.sha256):
        raise NoWeights(
            f"{path} is not {weights.title} (SHA-256 {digest[:8]}..., expected "
            f"{weights.sha256[:8]}...); fetch it again"
        )
    return path


@cache
def digest_of(path: Path, size: int, changed: int) -> str:
    """SHA-256 of a file, read again only if its size or date changed."""
    return sha256(path)


@cache
def fetch(path: Path, weights: Weights) -> str | None:
    """Download the weights to `path`; None, or why that failed. Cached: one attempt a process."""
    answer, host = [], weights.url.split("/")[2]

    def connect():
        try:
            answer.append(urllib.request.urlopen(weights.url, timeout=STALL_SECONDS))
        except (OSError, ValueError) as error:
            answer.append(error)

    # In a thread of its own, because a name server that is silent heeds no timeout.
    thread = threading.Thread(target=connect, daemon=True)
    thread.start()
    thread.join(CONNECT_SECONDS)
    if not answer:
        return f"no answer from {host} within {CONNECT_SECONDS} s"
    if isinstance(answer[0], Exception):
        return f"{host}: {getattr(answer[0], 'reason', answer[0])}"
    deadline = time.monotonic() + DOWNLOAD_SECONDS
    try:
        with answer[0] as response, write_atomically(path) as temporary:
            with open(temporary, "wb") as file:
                while block := response.read(1 << 20):
                    file.write(block)
                    if time.monotonic() > deadline:
                        # Raised: to return from here would give the part that came its name.
                        raise TimeoutError(f"not done within {DOWNLOAD_SECONDS} s")
            checked(temporary, weights)
    except (OSError, NoWeights) as error:
        return str(error)
    return None
