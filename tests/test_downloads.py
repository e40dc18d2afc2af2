"""Published weights: where they are looked for, and what stands in the way of a download."""

import hashlib
import io
import time
import urllib.error

import pytest

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
    """The folder where torch hub would keep the file, not made yet; downloads allowed."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.delenv("PG2_DOWNLOAD", raising=False)
    monkeypatch.delenv(NET.variable, raising=False)
    return tmp_path / "torch" / "hub" / "checkpoints"


@pytest.fixture
def network(monkeypatch):
    """network(answer): from now on that is what opening an address does; the list of attempts."""

    def connect(answer):
        attempts = []

        def urlopen(url, timeout):
            attempts.append(url)
            return answer()

        monkeypatch.setattr(downloads.urllib.request, "urlopen", urlopen)
        return attempts

    return connect


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


def test_a_wrong_or_missing_file_is_told(hub, tmp_path, monkeypatch):
    path = write(hub / "net.pth")
    assert downloads.find(NET) == path
    path.write_bytes(b"damaged since")
    with pytest.raises(downloads.NoWeights, match=r"net.pth is not somebody's.*SHA-256.*again"):
        downloads.find(NET)
    for given in (tmp_path / "gone.pth", tmp_path):  # a folder without the file
        with pytest.raises(downloads.NoWeights, match="is not there; give the path of net.pth"):
            downloads.find(NET, given)
    monkeypatch.setenv(NET.variable, str(tmp_path / "gone.pth"))
    with pytest.raises(downloads.NoWeights, match="gone.pth"):
        downloads.require(NET)


def test_the_beginning_of_a_checksum_is_enough(hub):
    short = downloads.Weights(NET.title, NET.file, NET.sha256[:8], NET.url, NET.variable)
    path = write(hub / "net.pth")
    assert downloads.find(short) == path


def test_downloads_can_be_forbidden(network, monkeypatch):
    attempts = network(lambda: io.BytesIO(CONTENT))
    with pytest.raises(downloads.NoWeights, match="downloads are off.*PG2_TEST_WEIGHTS"):
        downloads.require(NET, download=False)
    monkeypatch.setenv("PG2_DOWNLOAD", "OFF")
    with pytest.raises(downloads.NoWeights, match="downloads are off"):
        downloads.require(NET)
    assert not attempts


def test_no_network_is_told_and_asked_once(network, hub):
    def offline():
        raise urllib.error.URLError("Name or service not known")

    attempts = network(offline)
    for _ in range(2):
        with pytest.raises(downloads.NoWeights, match="weights.example.org: Name or.*from https"):
            downloads.require(NET)
    assert len(attempts) == 1 and not hub.exists()


def test_a_silent_network_is_told_soon(network, monkeypatch):
    network(lambda: time.sleep(30))
    monkeypatch.setattr(downloads, "CONNECT_SECONDS", 0.2)
    began = time.time()
    with pytest.raises(downloads.NoWeights, match="no answer from weights.example.org within 0.2"):
        downloads.require(NET)
    assert time.time() - began < 5


def test_a_download_is_checked_before_it_counts(network, hub):
    network(lambda: io.BytesIO(CONTENT))
    path = downloads.require(NET)
    assert path == hub / "net.pth" and path.read_bytes() == CONTENT
    assert list(hub.iterdir()) == [path]


def test_a_download_with_another_checksum_leaves_nothing(network, hub):
    network(lambda: io.BytesIO(b"damaged"))
    with pytest.raises(downloads.NoWeights, match="fetch it again"):
        downloads.require(NET)
    assert not list(hub.iterdir())


def test_an_endless_download_is_given_up(network, hub, monkeypatch):
    network(lambda: io.BytesIO(CONTENT))
    monkeypatch.setattr(downloads, "DOWNLOAD_SECONDS", -1)
    with pytest.raises(downloads.NoWeights, match="not done within"):
        downloads.require(NET)
    assert not list(hub.iterdir())
