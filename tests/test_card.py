"""The card of published weights: scored from the files, its costs and faults told."""

import json
import os
import shlex
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import yaml

from pg2lib import cli, models, picture_commands
from pg2lib.core.files import UserError
from pg2lib.evaluation import score_row
from pg2lib.training import weights
from pg2lib.workflow import card, pipeline, shipped
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


def test_figure_4_is_painted_from_the_files(files, tmp_path):
    path = card.write_figure4(STUDY, files, tmp_path)
    assert path == tmp_path / "figure4.png"
    record = json.loads(path.with_suffix(".json").read_text())
    columns = "Condition image; Target pose; Target image (GT); G1-L1."
    assert f"{card.EXAMPLES} x 4 (rows x columns). Columns: {columns}" in record["alt"]
    assert record["made_by"] == "pg2 card" and record["people"]
    with pytest.raises(UserError, match="paints"):  # the bundled ones have another size
        card.write_figure4(STUDY, {ROW: shipped.weights_file(ROW)}, tmp_path)


def test_the_card_command_can_write_the_figure_alone(files, tmp_path, monkeypatch):
    monkeypatch.setenv("PG2_FIGURES", str(tmp_path))
    monkeypatch.setattr(picture_commands, "write_card", None)  # calling it would raise an error
    monkeypatch.setattr(shipped, "weights_file", lambda row, dataset: files[ROW])
    monkeypatch.setattr(shipped, "rows", lambda dataset: (ROW,))
    assert cli.main(["card", "--figure", "--profile", "smoke", "--device", "cpu"]) == 0
    assert [path.name for path in tmp_path.rglob("*.png")] == ["figure4.png"]


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


def test_a_file_of_another_training_is_refused(files, tmp_path):
    other = pipeline.Study(profile="smoke", device="cpu", overrides=("iterations=5",))
    with pytest.raises(
        UserError, match="G1-L1.safetensors is not of the training .* run `make demo`"
    ):
        card.write_card(other, files, tmp_path, print)
    assert not list(tmp_path.iterdir())


def test_the_card_is_that_of_the_bundled_generators_unless_another_profile_is_named():
    code = "from pg2lib import cli; print(cli.parser().parse_args(['card']).profile)"
    plain = {name: value for name, value in os.environ.items() if name != "PG2_PROFILE"}
    for env, profile in ((plain, shipped.PROFILE), (plain | {"PG2_PROFILE": "smoke"}, "smoke")):
        told = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True)
        assert told.stdout.strip() == profile, told.stderr


def header_of(page):
    return yaml.safe_load(page.split("---")[1])


def test_a_folder_for_a_hub_holds_weights_and_the_scores_that_are_there(tmp_path):
    command = ["export", ROW, "--profile", "smoke", "--device", "cpu", "--card", "--out"]
    summary = json.loads((pipeline.evaluate(STUDY, ROW) / "summary.json").read_text())["scores"]
    assert cli.main([*command, str(tmp_path / "hub")]) == 0
    assert {path.name for path in (tmp_path / "hub").iterdir()} == {
        f"{ROW}.safetensors",
        "README.md",
    }
    page = (tmp_path / "hub" / "README.md").read_text()
    header = header_of(page)
    assert header["license"] == "mit" and header["datasets"] == ["synthetic-market"]
    [model] = header["model-index"]
    [result] = model["results"]
    assert model["name"] == ROW and result["task"]["type"] == header["pipeline_tag"]
    values = {metric["type"]: metric["value"] for metric in result["metrics"]}
    assert {"ssim", "mask_ssim", "sharpness", "pckh"} <= set(values)
    for name, value in values.items():
        assert value == pytest.approx(summary[name]["mean"], abs=5e-5), name
    assert f"{summary['ssim']['mean']:.3f} [" in page  # with its interval, in the table
    [line] = [line for line in page.splitlines() if line.startswith("pg2 generate")]
    assert cli.parser().parse_args(shlex.split(line)[1:]).weights.name == f"{ROW}.safetensors"
    weights.load(tmp_path / "hub" / f"{ROW}.safetensors", "cpu")


def test_a_hub_learns_no_score_that_nobody_measured_and_no_licence_of_photographs():
    assert "model-index" not in header_of(card.hub_header(STUDY, {}))
    one_stage = {"ssim": {"mean": 0.5}, "pckh": None, "inception": {"mean": None}}
    photographs = pipeline.Study("folder", "smoke", source="my: photos")
    header = header_of(card.hub_header(photographs, {ROW: one_stage}))
    assert header["license"] == "other" and header["datasets"] == ["folder"]
    [result] = header["model-index"][0]["results"]
    assert result["metrics"] == [{"type": "ssim", "name": "SSIM", "value": 0.5}]


def test_scores_of_the_card_that_ships_are_of_the_same_training(tmp_path, monkeypatch):
    keys = weights.load(shipped.weights_file(ROW), "cpu")[0].keys
    demo = pipeline.Study(profile="demo", device="cpu")
    monkeypatch.setattr(runs, "shipped_figures", lambda: tmp_path)
    monkeypatch.setattr(runs, "state", lambda step: runs.State(False, "never made"))
    assert card.known_scores(demo, ROW, keys) == {}  # no card
    (tmp_path / demo.name).mkdir()
    record = {"scores": {ROW: {"ssim": {"mean": 0.3}}}}
    (tmp_path / demo.name / "card.json").write_text(json.dumps(record))
    assert card.known_scores(demo, ROW, keys) == record["scores"][ROW]
    assert card.known_scores(demo, ROW, keys | {ROW: "another"}) == {}
    assert card.known_scores(STUDY, ROW, keys) == {}  # its generators do not ship


def test_the_card_of_what_ships_goes_to_the_project_and_others_to_the_user(tmp_path, monkeypatch):
    folders, scored = [], []

    def write_card(study, files, folder, log):
        folders.append(folder)
        scored.append(tuple(files))
        return []

    monkeypatch.setattr(picture_commands, "write_card", write_card)
    monkeypatch.setattr(picture_commands, "write_figure4", lambda study, files, folder: folder)
    monkeypatch.setattr(runs, "project", lambda: tmp_path)
    for options in (["--profile", "demo"], ["--profile", "demo", "--seed", "1"]):
        assert cli.main(["card", "--device", "cpu", *options]) == 0
    shipped, own = tmp_path / "figures", runs.figures()
    assert folders == [shipped / "synthetic-market-demo", own / "synthetic-market-demo-seed1"]
    for dataset in ("synthetic-fashion", "market1501"):
        options = ["--dataset", dataset, "--profile", "demo", "--device", "cpu"]
        assert cli.main(["card", *options]) == 0
    assert scored == [models.rows()] * 2 + [("G1-poseMaskLoss", "G1+G2+D"), models.rows()]
