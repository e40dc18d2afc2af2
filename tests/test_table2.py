"""Table 2 and its chart: whose answers count, and what people were shown. Numbers by hand."""

import hashlib
import json
from dataclasses import asdict, replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from pg2lib.apps.user_study import rates, simulated, table2
from pg2lib.apps.user_study import study as user_study
from pg2lib.apps.user_study.check_chart import check_chart
from pg2lib.apps.user_study.study import GENERATED, REAL, Protocol
from pg2lib.core.files import UserError
from pg2lib.workflow import pipeline, shipped

ROW = "G1+G2+D"
STUDY = pipeline.Study(profile="smoke")
SHORT = Protocol(6, 6, 3)
PAIRS = np.array([(k, 20 + k) for k in range(20)])
NAMES = [f"{k:04d}.jpg" for k in range(40)]


@pytest.fixture(autouse=True)
def store(tmp_path, monkeypatch):
    monkeypatch.setenv("PG2_RUNS", str(tmp_path / "runs"))


def start(participant="ann", **more):
    given = STUDY, ROW, PAIRS, NAMES, participant, SHORT, "made"
    return user_study.start_session(*given, **more)


def test_simulated_answers_do_not_count_even_in_the_folder_of_people():
    session = simulated.simulate(start(simulated=True), (0.5, 0.5))
    place = user_study.folder(STUDY, ROW) / session.path.name
    place.parent.mkdir(parents=True)
    session.path.rename(place)
    assert len(user_study.read_folder(place.parent)) == 12
    assert table2.of_studies([STUDY]) is None


def test_times_are_those_of_the_answers_that_count():
    session = start()
    times = [5000] * 3 + [990, 1000, 1000, 1000, 1000, 1010, 1020, 1030, 1400]  # 3 for practice
    for trial, exposure in zip(session.trials, times, strict=True):
        session.record(trial.number, trial.kind, exposure, 400)
    start("bob").record(1, REAL, 1, 400)  # and does not finish
    [line] = table2.of_studies([STUDY])["rows"]
    assert line["exposure_ms"] == {"median": 1000, "low": 990, "high": 1400}
    assert (line["participants"], line["unfinished"], line["answers"]) == (1, 1, 9)


def test_one_answer_too_many_is_told():
    session = start()
    for trial in session.trials:
        session.record(trial.number, REAL, 1000, 400)
    more = json.dumps(asdict(replace(session.answers[-1], trial=13))) + "\n"
    session.path.write_text(session.path.read_text() + more)
    with pytest.raises(UserError, match="ann.jsonl, line 14: one answer too many"):
        start()


def test_photographs_of_ones_own_may_be_named_like_generated_images(tmp_path):
    own = pipeline.Study("folder", "smoke", source=str(tmp_path))
    names = [f"anna from paris {k}.jpg" for k in range(40)]
    session = user_study.start_session(own, ROW, PAIRS, names, "ann", SHORT, "made")
    for trial in session.trials:
        session.record(trial.number, trial.kind, 1000, 400)
    answers = user_study.read_folder(user_study.folder(own, ROW))
    table2.check_plan(own, ROW, answers)
    answers.loc[answers.truth == GENERATED, "image"] = "anna.jpg"
    with pytest.raises(UserError, match="image is not as planned"):
        table2.check_plan(own, ROW, answers)


def test_answers_name_the_generator_that_people_judged():
    other = replace(STUDY, overrides=("iterations=5",))
    keys = [user_study.generator_key(study, ROW) for study in (STUDY, other)]
    assert keys == [pipeline.train_step(study, ROW).key for study in (STUDY, other)]
    for name in ("synthetic-market", "synthetic-fashion"):
        content = (shipped.FOLDER / name / f"{ROW}.safetensors").read_bytes()
        key = user_study.generator_key(pipeline.Study(name, "demo"), ROW)
        assert key == hashlib.sha256(content).hexdigest()[:12]


def test_a_bundled_generator_paints_the_pairs_of_the_plan(monkeypatch):
    """Every real image is as bright as its number, every generated one as its condition's."""

    def generate_pairs(made, data, pairs):
        assert made == "generator"
        return {"generated": np.array([np.full((2, 2, 3), condition) for condition, _ in pairs])}

    data = SimpleNamespace(
        images=np.arange(40)[:, None, None, None] * np.ones((2, 2, 3), int), test_pairs=PAIRS
    )
    monkeypatch.setattr(shipped, "generate_fn", lambda study, row: "generator")
    monkeypatch.setattr(user_study, "generate_pairs", generate_pairs)
    pictures = user_study.pictures(pipeline.Study(profile="demo"), ROW, data)
    trials = user_study.plan(PAIRS, NAMES, 1, SHORT)
    for trial, image in zip(trials, pictures(trials), strict=True):
        number = trial.name.rpartition(" from ")[2].removesuffix(".jpg")  # of what is seen
        assert (image == int(number)).all()


def test_the_check_chart_counts_people_up_beside_the_rates_that_made_them():
    """Ann is right; Bob takes both generated images for real; Cora one of them."""
    lines = [
        (who, False, f"{who}-{k}", truth, answer)
        for who, answers in {"ann": (GENERATED, GENERATED), "bob": (REAL, REAL),
                             "cora": (REAL, GENERATED)}.items()
        for k, (truth, answer) in enumerate([(REAL, REAL), *((GENERATED, a) for a in answers)])
    ]  # fmt: skip
    columns = ["participant", "practice", "image", "truth", "answer"]
    answers = pd.DataFrame(lines, columns=columns)
    found = {kind: rates.rates(answers) for kind in ("guessing", "believable")}
    expected = {"guessing": (0.4, 0.6), "believable": (0.1, 0.3)}
    figure = check_chart(found, expected, answers)
    counted, line = figure.axes[1].lines
    assert counted.get_xdata().tolist() == [1, 2, 3]
    assert counted.get_ydata() == pytest.approx([0, 1 / 2, 1 / 2])
    assert set(line.get_ydata()) == {0.3}
    true = [mark.get_xdata() for mark in figure.axes[0].lines if mark.get_marker() == "|"]
    assert [list(places) for places in true] == [[0.4, 0.1], [0.6, 0.3]]
    label = figure.get_label()
    for kind, rate, mean, wanted in (("guessing", "R2G", "0.0", "40.0"),
                                     ("believable", "G2R", "50.0", "30.0")):  # fmt: skip
        part = next(part for part in label.split("; ") if f"{kind} {rate}" in part)
        assert f"{rate} {mean} % [" in part and f"expected {wanted} %" in part
