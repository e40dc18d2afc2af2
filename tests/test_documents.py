"""What reviewers and machines read: metadata, cards, containers. All of it names what is there."""

import json
import os
import re
import tomllib
from pathlib import Path

import pytest
import smoke
import yaml
from PIL import Image

import pg2lib
from pg2lib import models
from pg2lib.data.prepare import prepare

PROJECT = Path(__file__).resolve().parent.parent
DOCS = PROJECT / "docs"


def read(name):
    return (PROJECT / name).read_text(encoding="utf-8")


def test_metadata_agree_on_version_and_licence():
    codemeta, zenodo = json.loads(read("codemeta.json")), json.loads(read(".zenodo.json"))
    citation = yaml.safe_load(read("CITATION.cff"))
    assert codemeta["version"] == zenodo["version"] == citation["version"] == pg2lib.__version__
    assert codemeta["license"].endswith("/MIT") and zenodo["license"] == "MIT"
    assert codemeta["referencePublication"]["url"] == citation["references"][0]["url"]
    names = [person["familyName"] for person in codemeta["referencePublication"]["author"]]
    assert names == [person["family-names"] for person in citation["references"][0]["authors"]]
    requires = tomllib.loads(read("pyproject.toml"))["project"]["requires-python"]
    assert codemeta["programmingLanguage"]["version"] == requires


def test_the_data_card_is_croissant(tmp_path):
    """Well-formed JSON-LD whose files are those of a store, each with its SHA-256."""
    card = json.loads(read("docs/croissant.json"))
    drawn = prepare(smoke.data_settings(), tmp_path)
    assert card["@type"] == "sc:Dataset"
    assert card["conformsTo"] == "http://mlcommons.org/croissant/1.0"
    assert {"name", "description", "license", "creator", "url", "datePublished"} <= set(card)
    ids = [file["@id"] for file in card["distribution"]]
    assert len(set(ids)) == len(ids) and all(file["@type"] == "cr:FileObject"
                                             for file in card["distribution"])  # fmt: skip
    assert sorted(ids) == sorted(path.name for path in drawn.glob("*.npy"))
    for file in card["distribution"]:
        assert re.fullmatch(r"[0-9a-f]{64}", file["sha256"]), file["name"]
        assert re.fullmatch(r"\d+ B", file["contentSize"])
        assert file["contentUrl"] == file["name"] == file["@id"]


def test_the_model_card_says_what_the_files_say():
    text = read("docs/model-card.md")
    files = sorted((PROJECT / "pg2lib" / "demo_weights").glob("*/*.safetensors"))
    assert "in six files" in text and len(files) == 6
    for file in files:
        raw = file.read_bytes()
        size = int.from_bytes(raw[:8], "little")  # the head of a safetensors file is JSON
        about = json.loads(raw[8 : 8 + size])["__metadata__"]
        configs = json.loads(about["configs"]).values()
        for config in configs:
            steps = f"{config['iterations']:,} steps of batch {config['batch']}"
            assert steps in text and f"{config['channels']} channels" in text, file.name
        assert len(raw) < 7e6


def rows(page):
    """The cells of the lines of a page's table."""
    lines = [line for line in read(page).splitlines() if line.startswith("| ")]
    return [line.strip("| ").split(" | ") for line in lines[1:]]


def test_scores_from_elsewhere_are_those_of_the_registry():
    names = ("ssim", "inception", "mask_ssim", "mask_inception", "pckh")
    wanted = []
    for method in models.METHODS.values():
        own = [(half, method.published_preset, s) for half, s in method.published.items()]
        own += [(each.half, each.preset, each.scores) for each in method.reported]
        wanted += [
            (method.name, half, preset, *(scores.get(name) for name in names))
            for half, preset, scores in own
        ]
    found = [
        (name, half, preset, *(None if cell == "-" else float(cell) for cell in scores))
        for name, half, _, _, preset, *scores in rows("docs/scores-elsewhere.md")
    ]
    assert found == wanted and len(found) > 12


@pytest.mark.parametrize(
    "page",
    ["reproducibility.md", "model-card.md", "scores-elsewhere.md", "containers.md",
     "launchers/README.md", "../README.md"],
)  # fmt: skip
def test_what_a_page_links_to_is_there(page):
    folder = (DOCS / page).parent
    links = re.findall(r"\]\(([^)#]+)", (DOCS / page).read_text(encoding="utf-8"))
    files = [link for link in links if not link.startswith("http")]
    assert files and [link for link in files if not (folder / link).exists()] == []


def test_the_report_counts_verdicts_as_the_claims_do():
    order = ("holds", "does not hold", "cannot tell", "not measured")
    found = [cells for cells in rows("docs/reproducibility.md") if "claims.md" in cells[0]]
    assert len(found) == 3
    for first, _, *counts in found:
        folder = re.search(r"figures/([\w.-]+)/claims", first)[1]
        claims = json.loads(read(f"figures/{folder}/claims.json"))["claims"]
        verdicts = [claim["verdict"] for claim in claims]
        assert [verdicts.count(word) for word in order] == [int(count) for count in counts]


def test_containers_take_the_lock_and_one_python():
    docker, conda = read("Dockerfile"), yaml.safe_load(read(".binder/environment.yml"))
    [python] = re.findall(r"^FROM python:([\d.]+)-slim", docker, re.M)
    assert f"python={python}" in conda["dependencies"]
    build = read(".binder/postBuild")
    assert os.access(PROJECT / ".binder" / "postBuild", os.X_OK)
    for text in (docker, build):
        assert "--require-hashes" in text and "lock.py" in text and "whl/cpu" in text
    for source in re.findall(r"^COPY (\S+) (\S+) \./$", docker, re.M)[0]:
        assert (PROJECT / source).is_file()
    container = json.loads(read(".devcontainer/devcontainer.json"))
    assert (PROJECT / ".devcontainer" / container["build"]["dockerfile"]).is_file()
    ignored = read(".dockerignore").split()
    assert {".git", ".venv", "runs", "shared"} <= set(ignored)


def test_the_readme_begins_with_the_studio_in_motion_and_the_commands():
    top = read("README.md").partition("\n## Results")[0]
    with Image.open(PROJECT / re.search(r"!\[[^]]*\]\(([^)]+)\)", top)[1]) as film:
        assert film.n_frames > 10
    assert "soft because" in top.partition("\n## ")[0]  # why the pictures are as they are
    lines = top.splitlines()
    assert max(k for k, line in enumerate(lines) if line.startswith(("git clone", "make"))) < 30


@pytest.mark.parametrize("name", ["01_data_and_masks", "08_pose_studio"])
def test_colab_installs_and_nothing_else_does(name, monkeypatch, capsys):
    """The first lines of the first cell with imports, here and as if in Colab."""
    import subprocess
    import sys

    notebook = json.loads(read(f"notebooks/{name}.ipynb"))
    cells = ["".join(cell["source"]) for cell in notebook["cells"]]
    [text] = [cell for cell in cells if "google.colab" in cell]
    own = text[: text.index("check=True)\n") + len("check=True)\n")]
    calls = []
    monkeypatch.setattr(subprocess, "run", lambda *words, **how: calls.append(words[0]))
    exec(own, {})
    assert calls == [] and capsys.readouterr() == ("", "")
    monkeypatch.setitem(sys.modules, "google.colab", sys)
    with pytest.raises(AssertionError, match="write the address of the repository"):
        exec(own, {})
    exec(own.replace('address = ""', 'address = "https://example.org/pg2"'), {})
    assert calls[0][-1] == "git+https://example.org/pg2" and "install" in calls[0]
