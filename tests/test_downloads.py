"""Published weights: where they are looked for, and how a download can fail."""

import hashlib
import socket
import time
import urllib.error
from dataclasses import replace

import pytest
import torch

from pg2lib.core import downloads

CONTENT = b"weights"
NET = downloads.Weights(
    "somebody's network",
    "net.pth",
    hashlib.sha256(CONTENT).hexdigest(),
    "https://weights.example.org/net.pth",
    "PG2_TEST_WEIGHTS",
)


@pytest.fixture(autouse=True)
def hub(tmp_path, monkeypatch):
    """Where torch hub would keep the file (not created yet); downloads are allowed."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.delenv("PG2_DOWNLOAD", raising=False)
    monkeypatch.delenv(NET.variable, raising=False)
    return tmp_path / "torch" / "hub" / "checkpoints"


@pytest.fixture
def published(tmp_path):
    """The network as published at a file:// address, which needs no network."""
    return replace(NET, url=write(tmp_path / "published" / NET.file).as_uri())


def write(path, content=CONTENT):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def test_weights_are_looked_for_in_three_places(hub, tmp_path, monkeypatch):
    assert downloads.find(NET) is None
    cached = write(hub / "net.pth")
    assert downloads.find(NET) == downloads.require(NET) == cached
    named = write(tmp_path / "own" / "net.pth")
    for variable in (named, named.parent):
        monkeypatch.setenv(NET.variable, str(variable))
        assert downloads.find(NET) == named
    other = write(tmp_path / "other.pth")
    assert downloads.find(NET, other) == downloads.require(NET, other) == other


def test_a_wrong_or_missing_file_is_an_error(hub, tmp_path, monkeypatch):
    path = write(hub / "net.pth")
    assert downloads.find(NET) == path
    path.write_bytes(b"damaged since")
    with pytest.raises(downloads.NoWeights, match=r"net.pth is not somebody's.*SHA-256.*again"):
        downloads.find(NET)
    for given in (tmp_path / "gone.pth", tmp_path):  # a folder without the file
        with pytest.raises(downloads.NoWeights, match="does not exist; give the path of net.pth"):
            downloads.find(NET, given)
    monkeypatch.setenv(NET.variable, str(tmp_path / "gone.pth"))
    with pytest.raises(downloads.NoWeights, match="gone.pth"):
        downloads.require(NET)


def test_the_beginning_of_a_checksum_is_enough(hub):
    short = downloads.Weights(NET.title, NET.file, NET.sha256[:8], NET.url, NET.variable)
    path = write(hub / "net.pth")
    assert downloads.find(short) == path


def test_downloads_can_be_forbidden(published, monkeypatch, hub):
    with pytest.raises(downloads.NoWeights, match="downloads are off.*PG2_TEST_WEIGHTS"):
        downloads.require(published, download=False)
    monkeypatch.setenv("PG2_DOWNLOAD", "OFF")
    with pytest.raises(downloads.NoWeights, match="downloads are off"):
        downloads.require(published)
    assert not hub.exists()


def test_a_download_is_checked_and_kept(published, hub):
    path = downloads.require(published)
    assert path == hub / "net.pth" and path.read_bytes() == CONTENT
    assert list(hub.iterdir()) == [path]


def test_a_download_with_another_checksum_leaves_nothing(published, hub):
    with pytest.raises(downloads.NoWeights, match="invalid hash.*PG2_TEST_WEIGHTS"):
        downloads.require(replace(published, sha256="0" * 64))
    assert not list(hub.iterdir())


def test_a_failed_download_is_explained_and_tried_once(monkeypatch):
    attempts = []

    def offline(request):
        attempts.append(request)
        raise urllib.error.URLError("Name or service not known")

    monkeypatch.setattr(torch.hub, "urlopen", offline)
    for _ in range(2):
        with pytest.raises(downloads.NoWeights, match="Name or.*from https://weights.example.org"):
            downloads.require(NET)
    assert len(attempts) == 1


def test_a_silent_server_is_given_up_soon(monkeypatch):
    monkeypatch.setattr(downloads, "TIMEOUT", 0.2)
    before = socket.getdefaulttimeout()
    with socket.create_server(("127.0.0.1", 0)) as server:  # accepts, and never answers
        address = f"http://127.0.0.1:{server.getsockname()[1]}/net.pth"
        began = time.time()
        with pytest.raises(downloads.NoWeights, match="timed out.*PG2_TEST_WEIGHTS"):
            downloads.require(replace(NET, url=address))
    assert time.time() - began < 5 and socket.getdefaulttimeout() == before
