"""The card of published weights: scored from the files, its costs and faults told."""

import json

import numpy as np
import pandas as pd
import pytest

from pg2lib import cli, commands
from pg2lib.core.files import UserError
from pg2lib.evaluation import score_row
from pg2lib.training import weights
from pg2lib.workflow import card, pipeline
from pg2lib.workflow import run_store as runs

STUDY = pipeline.Study(profile="smoke", device="cpu")
ROW = "G1-L1"


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    from pg2lib.cli import main

    out = tmp_path_factory.mktemp("weights") / f"{ROW}{weights.SUFFIX}"
    options = ["--profile", "smoke", "--device", "cpu", "--small", "--out", str(out)]
    assert main(["export", ROW, *options]) == 0
    return {ROW: out}


def test_a_card_holds_what_the_files_score(files, tmp_path):
    paths = card.write_card(STUDY, files, tmp_path, print)
    assert [path.name for path in paths] == ["card.md", "card.json", "logs.csv"]
    record = json.loads((tmp_path / "card.json").read_text())
    assert set(record["scores"]) == {"condition", "target", ROW}
    assert record["scores"]["target"]["ssim"]["mean"] == pytest.approx(1)
    assert record["scores"]["target"]["colour_kept"]["mean"] == 1
    [training] = record["trainings"]
    assert training["iterations"] == 6 and training["pairs_seen"] == 24
    # the same pairs painted from the file by other means
    data, generate_fn = pipeline.data(STUDY), weights.load(files[ROW], "cpu")[1]
    images = score_row.generate_pairs(generate_fn, data, data.test_pairs)["generated"]
    target = data.images[data.test_pairs[:, 1]]
    errors = np.abs(images.astype(float) - target).mean((1, 2, 3))
    assert errors.mean() > 10  # six steps teach nothing
    columns = score_row.pair_scorer(data, pipeline.scoring(STUDY, "pg2", "target"))
    ssim = columns(images, slice(None))["ssim"].mean()
    assert record["scores"][ROW]["ssim"]["mean"] == pytest.approx(ssim, abs=1e-6)
    assert pd.read_csv(tmp_path / "logs.csv")["step"].max() == 6


def test_a_card_lists_what_is_below_its_goal(files, tmp_path):
    card.write_card(STUDY, files, tmp_path, print)
    text = (tmp_path / "card.md").read_text()
    assert f"* {ROW}: sharpness" in text.split("## Known faults")[1]
    assert "SSIM" not in text.split("## Known faults")[1]  # no goal, so no fault


@pytest.mark.parametrize(
    "name, value, real, expected",
    [
        ("pckh", 0.76, 0.8, True),
        ("pckh", 0.75, 0.8, False),
        ("sharpness", 0.61, 1, True),
        ("stripes", 1.6, 1, False),
        ("fixed_share", 0.1, None, True),
        ("fixed_share", None, None, None),
        ("ssim", 0.1, 1, None),
    ],
)
def test_goals_by_hand(name, value, real, expected):
    assert card.met(name, value, real) is expected


def test_a_file_of_another_size_is_refused(files, tmp_path):
    other = pipeline.Study(profile="smoke", device="cpu", overrides=("height=32",))
    with pytest.raises(UserError, match="paints"):
        card.write_card(other, files, tmp_path, print)
    assert not list(tmp_path.iterdir())


def test_the_card_of_what_ships_goes_to_the_project_and_others_to_the_user(tmp_path, monkeypatch):
    folders = []

    def write_card(study, files, folder, log):
        folders.append(folder)
        return []

    monkeypatch.setattr(commands, "write_card", write_card)
    monkeypatch.setattr(runs, "project", lambda: tmp_path)
    for options in (["--profile", "demo"], ["--profile", "demo", "--seed", "1"]):
        assert cli.main(["card", "--device", "cpu", *options]) == 0
    shipped, own = tmp_path / "figures", runs.figures()
    assert folders == [shipped / "synthetic-market-demo", own / "synthetic-market-demo-seed1"]
