"""What several trainings tell: curves of scores, and the check against committed trainings."""

import copy
import json
import sys

import numpy as np
import pandas as pd
import pytest

from benchmarks import replicate
from pg2lib import cli
from pg2lib.core.config import drawn
from pg2lib.core.files import read_json, write_json
from pg2lib.results import claims, render
from pg2lib.training import loop
from pg2lib.workflow import pipeline, reproduce, trainings
from pg2lib.workflow import run_store as runs


def test_a_curve_ends_near_the_scores_of_the_finished_row(study, tmp_path):
    curve = trainings.curve(study, "G1-L1")
    steps = loop.curve_steps(pipeline.method_config(study, "G1-L1").iterations)
    assert list(curve.step.unique()) == steps
    last = curve[curve.step == steps[-1]]
    [scored] = pipeline.pairs(study, ["G1-L1"])["G1-L1"]
    assert list(last.pair) == list(scored.pair[: len(last)])
    # painted in bfloat16 where that is faster
    np.testing.assert_allclose(last.ssim, scored.ssim[: len(last)], atol=0.02)
    trainings.write_curves(study, ["condition", "G1-L1"], tmp_path / "curves.csv")
    table = pd.read_csv(tmp_path / "curves.csv")
    assert list(table.step) == steps and set(table.row) == {"G1-L1"}
    assert table.ssim.iloc[-1] == pytest.approx(last.ssim.mean(), abs=1e-5)


def test_a_new_training_is_held_against_the_committed_ones(study, tmp_path, monkeypatch):
    monkeypatch.setattr(runs, "project", lambda: tmp_path)
    monkeypatch.setenv("PG2_FIGURES", str(tmp_path / "figures"))
    assert trainings.check(study, print) is True  # nothing to compare with
    few = tmp_path / "figures" / f"{study.name}-seeds0-1"
    write_json(few / "table1.json", {"facts": {"seeds": [0, 1], "profile": study.changes}})
    assert trainings.check(study, print) is True  # two trainings have no spread
    table = pipeline.table1(study)
    render.write(pipeline.figures_folder(study), "table1", table)
    known = copy.deepcopy(table)
    known["facts"]["seeds"] = [0, 1, 2]
    for row in known["rows"]:
        for value in filter(None, row["ours"].values()):
            if row["row"] not in pipeline.REFERENCE_ROWS and value["mean"] is not None:
                value["by_seed"] = [value["mean"] + change for change in (-0.01, 0, 0.01)]
    folder = tmp_path / "figures" / f"{study.name}-seeds0-2"
    write_json(folder / "table1.json", known)
    write_json(folder / "judges.json", {row: {"pckh": 0.01} for row in pipeline.all_rows()})
    changed = tmp_path / "figures" / f"{study.name}-seeds0-5-iterations=500"  # another study
    more = {"seeds": [*range(6)], "profile": f"{study.changes} (iterations=500)"}
    write_json(changed / "table1.json", known | {"facts": known["facts"] | more})
    lines = []
    assert trainings.check(study, lines.append) is True
    assert "Table 1 reproduced" in lines[0]
    assert (pipeline.figures_folder(study) / "reproduction.md").exists()
    table["rows"][3]["ours"]["ssim"]["mean"] += 2
    render.write(pipeline.figures_folder(study), "table1", table)
    assert trainings.check(study, lines.append) is False
    assert "not reproduced" in lines[-1]


def test_judges_differ_by_the_scores_that_three_keypoint_networks_give_the_same_images(monkeypatch):
    """0.70, 0.72 and 0.68: a standard deviation of 0.02. What one of them lacks has none."""
    scored, networks = [], {}
    monkeypatch.setattr(pipeline, "all_rows", lambda: ("condition", "G1-L1"))
    monkeypatch.setattr(pipeline, "evaluate", lambda one, row, log: scored.append((one, row)))

    def summaries(one, rows):
        number = networks.setdefault(
            pipeline.train_step(one, pipeline.KEYPOINTS).key, len(networks)
        )
        assert (one, *rows) in scored  # before it is read
        pckh = (0.70, 0.72, 0.68)[number] + (rows == ["G1-L1"]) * 0.1 * number
        scores = {"ssim": {"mean": 0.1 * number}, "pckh": {"mean": pckh}}
        return {rows[0]: [{"scores": scores | {"pck": {"mean": 0.5} if number else None}}]}

    monkeypatch.setattr(pipeline, "summaries", summaries)
    found = trainings.judges(pipeline.Study(profile="smoke", seeds=(3, 1)), None)
    assert found == {
        "condition": {"pckh": pytest.approx(0.02)},
        "G1-L1": {"pckh": pytest.approx(np.std([0.70, 0.82, 0.88], ddof=1))},
    }
    assert len(networks) == 3 and {one.seeds for one, _ in scored} == {(3,)}


@pytest.mark.parametrize("answers, strict, status", [
    ((True, True), True, 0), ((True, False), True, 1), ((False, True), True, 1),
    ((False, False), False, 0),
])  # fmt: skip
def test_a_strict_reproduction_ends_with_status_1_unless_every_table_agrees(
    answers, strict, status, monkeypatch, capsys
):
    for work in ("score", "present", "log_table"):
        monkeypatch.setattr(reproduce, work, lambda *_: None)
    monkeypatch.setattr(reproduce, "plan", lambda *_: [])  # nothing is missing
    monkeypatch.setattr(reproduce, "both_halves", lambda studies: runs.figures())
    agrees = dict(zip(drawn(), answers))
    monkeypatch.setattr(trainings, "known", lambda study: {"facts": study.dataset})
    monkeypatch.setattr(trainings, "check", lambda study, log: agrees.pop(study.dataset))
    command = ["reproduce", "--dataset", "all", "--profile", "smoke"]
    with pytest.raises(SystemExit) as end:
        sys.exit(cli.main(command + ["--strict"] * strict))
    assert end.value.code == status and not agrees  # each was checked
    assert "done in" in capsys.readouterr().out


@pytest.mark.parametrize("study", [["--profile", "smoke"], ["--seeds", "0,1"]])
def test_a_strict_reproduction_needs_something_to_compare_with(study, capsys):
    with pytest.raises(SystemExit) as end:
        sys.exit(cli.main(["reproduce", "--strict", "--dry-run", *study]))
    assert end.value.code == 2 and "--strict needs bundled trainings" in capsys.readouterr().err


def test_a_second_run_is_counted_against_the_first(tmp_path):
    def run(effect, verdict):
        low, high = effect - 0.01, effect + 0.01
        part = {"score": "ssim", "row": "G1-L1", "against": "G1-CE-L1", "expected": "> 0.001"}
        part |= {"effect": effect, "low": low, "high": high}
        claim = {"name": "a", "verdict": verdict, "comparisons": [part]}
        line = {"row": "G1-L1", "minus": "G1-CE-L1", "score": "ssim", "difference": effect}
        line |= {"low": low, "high": high, "paper": 0.085, "by_seed": [effect] * 3}
        return {"claims": [claim]}, [line], [0, 1, 2]

    same = replicate.compare(run(0.02, "holds"), run(0.025, "holds"))
    assert (same["claims"]["inside"], same["verdicts"], same["alike"], same["opposed"]) == (
        1,
        2,
        2,
        [],
    )
    other = replicate.compare(run(0.02, "holds"), run(0.04, "does not hold"))
    assert (other["differences"]["inside"], other["alike"], other["opposed"]) == (0, 1, ["a"])
    against = replicate.compare(run(0.02, "holds"), run(-0.02, "cannot tell"))
    assert against["opposed"] == ["G1-L1 G1-CE-L1 ssim"]
    unclaimed = ({"claims": []}, *run(0.02, "holds")[1:])
    assert replicate.compare(unclaimed, run(0.025, "holds"))["claims"]["of"] == 0
    assert json.dumps(other)


def test_the_rows_alone_decide_the_claims_about_rows(study, tmp_path):
    reproduce.write_row_claims(study, tmp_path)
    found = read_json(tmp_path / "claims.json")
    verdicts = {claim["name"]: claim["verdict"] for claim in found["claims"]}
    needed = {claim.name for claim in claims.CLAIMS if claim.needs_ablation} & set(verdicts)
    assert needed and {verdicts[name] for name in needed} == {"not measured"}
    assert set(verdicts.values()) > {"not measured"}
    assert not reproduce.tested(tmp_path)
    found["facts"]["command"] = study.command.replace("reproduce", "claims")
    write_json(tmp_path / "claims.json", found)
    assert reproduce.tested(tmp_path)
