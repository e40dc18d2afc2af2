"""The user study: plans, files of answers, rates with intervals, Table 2. No page, no generator."""

import csv
import io
import json
import math
import os
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import binomtest, t

from pg2lib.apps.user_study import rates as study_rates
from pg2lib.apps.user_study import simulated as simulated_participants
from pg2lib.apps.user_study import study as user_study
from pg2lib.apps.user_study import table2
from pg2lib.apps.user_study.check_chart import check_chart
from pg2lib.apps.user_study.study import GENERATED, REAL, Protocol
from pg2lib.core.files import UserError
from pg2lib.results import render
from pg2lib.workflow import pipeline

ROW = "G1+G2+D"
STUDY = pipeline.Study(profile="smoke")
SHORT = Protocol(6, 6, 3)
# 150 conditions, each for one of 150 targets and again for the next.
PAIRS = np.array([(k, 150 + (k + j) % 150) for j in range(2) for k in range(150)])
NAMES = [f"{k:04d}.jpg" for k in range(300)]


@pytest.fixture(autouse=True)
def store(tmp_path, monkeypatch):
    monkeypatch.setenv("PG2_RUNS", str(tmp_path / "runs"))


def start(participant="ann", protocol=SHORT, study=STUDY, row=ROW, **more):
    return user_study.start_session(study, row, PAIRS, NAMES, participant, protocol, "made", **more)


def answer_all(session, judge=lambda trial: trial.kind, upto=None):
    for trial in session.trials[session.answered : upto]:
        session.record(trial.number, judge(trial), 1000, 400)
    return session


# ---------------------------------------------------------------- the plan


def test_a_profile_of_ones_own_may_move_to_another_folder(tmp_path):
    for name in ("here", "there"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "mine.toml").write_text('base = "smoke"')
    here, there = (
        replace(STUDY, profile=str(tmp_path / n / "mine.toml")) for n in ("here", "there")
    )
    answer_all(start(study=here), upto=2)
    assert start(study=there).answered == 2


def test_simulated_answers_do_not_depend_on_what_lies_in_the_run_store():
    first = simulated_participants.simulated_answers(STUDY, ROW, PAIRS, NAMES, "guessing", 1, SHORT)
    answer_all(start("guessing-01", simulated=True))  # as an earlier version left there
    again = simulated_participants.simulated_answers(STUDY, ROW, PAIRS, NAMES, "guessing", 1, SHORT)
    assert len(first) > 0 and first.answer.tolist() == again.answer.tolist()


def test_the_paper_s_protocol():
    trials = user_study.plan(PAIRS, NAMES, seed=3)
    assert [trial.number for trial in trials] == list(range(1, 111))
    assert sum(trial.kind == REAL for trial in trials) == 55
    assert [trial.practice for trial in trials] == [True] * 10 + [False] * 100


def test_no_target_comes_twice_as_itself_or_as_what_is_generated():
    trials = user_study.plan(PAIRS, NAMES, seed=3)
    targets = [t.index if t.kind == REAL else PAIRS[t.index, 1] for t in trials]
    assert len(set(targets)) == 110 and set(targets) <= set(PAIRS[:, 1])
    for trial, target in zip(trials, targets):
        assert trial.name.partition(" from ")[0] == NAMES[target]
    assert len({trial.name for trial in trials}) == 110


def test_a_plan_is_its_seed_s():
    same = [user_study.plan(PAIRS, NAMES, seed) for seed in (3, 3, 4)]
    assert same[0] == same[1] != same[2]


def test_the_order_is_random():
    """Over many plans every place is real as often as not: 400 tosses, 4 standard deviations."""
    plans = [user_study.plan(PAIRS, NAMES, seed) for seed in range(400)]
    real = np.mean([[trial.kind == REAL for trial in plan] for plan in plans], axis=0)
    assert np.abs(real - 0.5).max() < 4 * 0.5 / math.sqrt(400)


def test_too_few_targets_are_counted():
    with pytest.raises(UserError, match="need 110 different.*have 40: ask for at most 20"):
        user_study.plan(PAIRS[:40], NAMES, seed=0)


def test_fewer_images_where_there_are_fewer():
    assert user_study.protocol_for(PAIRS) == user_study.PAPER
    assert user_study.protocol_for(PAIRS[:13]) == Protocol(6, 6, 3)
    assert user_study.protocol_for(PAIRS, 20) == Protocol(20, 20, 10)


@pytest.mark.parametrize("counts", [(0, 5, 0), (5, 0, 0), (5, 5, 10), (5, 5, -1)])
def test_impossible_protocols(counts):
    with pytest.raises(UserError, match="more of them than practice"):
        Protocol(*counts)


def test_pictures_are_the_target_and_what_the_row_made_of_the_pair(data, monkeypatch):
    made = np.random.default_rng(0).integers(0, 256, (len(data.test_pairs), 64, 32, 3), np.uint8)
    monkeypatch.setattr(pipeline, "generated", lambda study, row: made)
    pictures = user_study.pictures(STUDY, ROW, data)
    trials = user_study.plan(data.test_pairs, data.names, 1, SHORT)
    for trial, image in zip(trials, pictures(trials), strict=True):
        wanted = data.images[trial.index] if trial.kind == REAL else made[trial.index]
        assert (image == wanted).all()
    real = [trial for trial in trials if trial.kind == REAL]
    assert len(pictures(real)) == len(real) and pictures([]) == []


# ---------------------------------------------------------------- answers on disk


def test_an_answer_is_on_disk_when_it_is_kept():
    session = start()
    first = session.trials[0]
    session.record(1, GENERATED, 1000.04, 321.5, shown=2)
    assert session.path.parts[-4:] == ("user_study", "synthetic-market-smoke", ROW, "ann.jsonl")
    facts, answer = map(json.loads, session.path.read_text().splitlines())
    assert facts == {
        "participant": "ann", "seed": user_study.participant_seed(STUDY, ROW, "ann"),
        "dataset": "synthetic-market", "profile": "smoke", "row": ROW, "generator": "made",
        "protocol": {"real": 6, "generated": 6, "practice": 3, "exposure_ms": 1000},
        "simulated": False,
    }  # fmt: skip
    assert answer.pop("time")[:2] == "20"
    assert answer == {
        "trial": 1, "practice": True, "image": first.name, "truth": first.kind,
        "answer": "generated", "exposure_ms": 1000.0, "response_ms": 321.5, "shown": 2,
    }  # fmt: skip


def test_nothing_is_written_before_the_first_answer():
    assert not start().path.exists()


def test_somebody_goes_on_where_they_were():
    before = answer_all(start(), upto=5)
    after = start()
    assert after.answered == 5 and after.trials == before.trials
    answer_all(after)
    assert start().finished and start().answers == after.answers


def test_nobody_answers_twice():
    session = answer_all(start())
    with pytest.raises(UserError, match="ann has answered all 12 images"):
        session.record(12, REAL, 1000, 400)


@pytest.mark.parametrize(
    ("values", "fault"),
    [
        ((2, REAL, 1000, 400), "next answer of ann is to image 1"),
        ((1, "fake", 1000, 400), "neither real nor generated"),
        ((1, REAL, float("nan"), 400), "exposure_ms nan"),
        ((1, REAL, 1000, -1), "response_ms -1"),
        ((1, REAL, 1000, 400, 0), "shown 0"),
    ],
)
def test_impossible_answers_leave_no_file(values, fault):
    session = start()
    with pytest.raises(UserError, match=fault):
        session.record(*values)
    assert not session.path.exists() and session.answered == 0


@pytest.mark.parametrize("torn", ['{"trial": 5, "prac', "{", "\x00\x00"])
def test_a_torn_last_line_is_dropped(torn):
    path = answer_all(start(), upto=4).path
    whole = path.read_bytes()
    path.write_bytes(whole + torn.encode())
    session = start()
    assert session.answered == 4
    answer_all(session, upto=5)
    assert path.read_bytes().startswith(whole) and path.read_bytes().count(b"\n") == 6
    assert start().answered == 5


def test_a_torn_header_is_no_answer():
    path = answer_all(start(), upto=1).path
    path.write_text('{"participant": "a')
    assert answer_all(start()).finished
    assert start().finished


def test_a_full_disk_loses_nothing(monkeypatch):
    session = answer_all(start(), upto=4)
    whole = session.path.read_bytes()

    def full(handle):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(UserError, match="No space left on device.*earlier answers are safe"):
            answer_all(session)
    assert session.path.read_bytes() == whole and session.answered == 4
    assert answer_all(session).finished and start().finished


def test_a_folder_that_cannot_be_made(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("PG2_RUNS", str(tmp_path / "file"))
    with pytest.raises(UserError, match="could not be written"):
        answer_all(start())


def test_two_windows_of_one_participant():
    first, second = start(), start()
    answer_all(first, upto=1)
    with pytest.raises(UserError, match="changed by another window of ann"):
        answer_all(second)
    assert start().answered == 1


@pytest.mark.parametrize(
    ("spoil", "fault"),
    [
        (lambda lines: ["name,mark", "x,1"], "line 1: invalid line"),
        (lambda lines: ["{}", *lines[1:]], "line 1: invalid line"),
        (lambda lines: lines[1:], "line 1: invalid line"),
        (lambda lines: [lines[0].replace('"real": 6', '"real": -6'), *lines[1:]], "line 1"),
        (lambda lines: [*lines[:3], lines[3].replace('"real"', '"rael"')], "line 4"),
        (lambda lines: [*lines[:2], lines[2] + ",", *lines[3:]], "line 3: invalid line"),
        (lambda lines: [*lines[:2], *lines[3:]], "line 3: .*trial 3 instead"),
        (
            lambda lines: [lines[0], lines[1].replace("1", "1.5"), *lines[2:]],
            "line 2: .*instead",
        ),
        (
            lambda lines: [lines[0], lines[1].replace("shown", "seen")],
            "line 2: .*unexpected",
        ),
    ],
)
def test_a_damaged_file_is_named_with_its_line(spoil, fault):
    path = answer_all(start(), judge=lambda trial: REAL, upto=6).path
    path.write_text("\n".join(spoil(path.read_text().splitlines())) + "\n")
    damaged = path.read_text()
    with pytest.raises(UserError, match=fault) as error:
        start()
    assert str(path) in str(error.value)
    assert path.read_text() == damaged
    with pytest.raises(UserError, match=fault):
        user_study.read_folder(path.parent)


def test_bytes_that_are_no_text():
    path = answer_all(start(), upto=1).path
    path.write_bytes(b"\xff\xfe\n")
    with pytest.raises(UserError, match="line 1: invalid line"):
        start()


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (
            dict(protocol=Protocol(6, 6, 2)),
            "protocol is 6 real .* first 3 for practice, not 6 real .* first 2",
        ),
        (dict(generator="anew"), "generator is made, not anew"),
        (dict(names=[f"x{name}" for name in NAMES]), "image is .*, not x"),
    ],
)
def test_answers_to_something_else_are_not_gone_on_with(change, fault):
    answer_all(start(), upto=2)
    given = dict(names=NAMES, protocol=SHORT, generator="made") | change
    with pytest.raises(UserError, match=rf"ann.jsonl, line \d: {fault}"):
        user_study.start_session(STUDY, ROW, PAIRS, participant="ann", **given)


@pytest.mark.parametrize("name", ["", "a b", "../ann", "ann.csv", "-ann", "é", "a" * 41])
def test_names_that_are_no_names(name):
    with pytest.raises(UserError, match="is not a valid name"):
        start(name)


def test_everybody_sees_something_else():
    plans = [start("ann").trials, start("bob").trials, start(row="G1+D").trials]
    assert plans[0] != plans[1] and plans[0] != plans[2]


def test_files_of_two_studies_in_one_folder():
    folder = answer_all(start()).path.parent
    answer_all(start("bob", row="G1+D")).path.rename(folder / "bob.jsonl")
    with pytest.raises(UserError, match=r"bob.jsonl: answers to row G1\+D among those to"):
        user_study.read_folder(folder)


# ---------------------------------------------------------------- rates and intervals


@pytest.mark.parametrize(("wrong", "of"), [(0, 50), (4, 50), (25, 50), (50, 50), (1, 2)])
def test_wilson_is_scipy_s(wrong, of):
    ends = binomtest(wrong, of).proportion_ci(method="wilson")
    assert study_rates.wilson(wrong / of, of) == pytest.approx(tuple(ends), abs=1e-12)


def test_design_effect_by_hand():
    # Rate 1/2, residuals ±1/2. Groups of two alike: sums ±1, so 4 * 1 / (8 / 4) = 2; and the
    # corrections for small numbers, 4 / 3 over 8 / 7.
    wrong = np.array([1, 1, 0, 0, 1, 1, 0, 0], bool)
    assert study_rates.design_effect(wrong, [1, 1, 2, 2, 3, 3, 4, 4]) == pytest.approx(7 / 3)
    # Groups that cancel have none, and it is not let below 1.
    assert study_rates.design_effect(wrong, [1, 2, 1, 2, 3, 4, 3, 4]) == 1
    assert study_rates.design_effect(wrong, ["me"] * 8) == 1
    assert study_rates.design_effect(np.zeros(8), [1, 1, 2, 2, 3, 3, 4, 4]) == 1


def test_interval_of_one_person_is_wilson_s():
    wrong = np.arange(50) < 4
    ends = binomtest(4, 50).proportion_ci(method="wilson")
    assert study_rates.interval(wrong, ["me"] * 50, range(50)) == pytest.approx(tuple(ends))


def test_interval_of_three_people_by_hand():
    """1, 3 and 8 of 20 wrong: rate 1/5, residual sums -3, -1, 4, squares 26; 60 answers with
    variance 9.6 in all, so deff = 26 / 9.6 * 3 / 2 * 59 / 60, and Student's 4.303 for 1.960."""
    wrong = np.concatenate([np.arange(20) < k for k in (1, 3, 8)])
    effect = 26 / 9.6 * 1.5 * 59 / 60 * (t.ppf(0.975, 2) / 1.959964) ** 2
    wanted = study_rates.wilson(0.2, 60 / effect)
    found = study_rates.interval(wrong, np.repeat([1, 2, 3], 20), np.arange(60))
    assert found == pytest.approx(wanted, abs=1e-6)


def study_of(random, people, rate, between_people, between_images, images=110, each=50):
    """Answers (wrong, people, images) in which people and images differ, on the normal scale."""
    skill = random.normal(0, between_people, people)
    lure = random.normal(0, between_images, images)
    seen = np.argsort(random.random((people, images)))[:, :each]
    spread = math.sqrt(1 + between_people**2 + between_images**2)
    bar = study_rates.NORMAL.inv_cdf(rate) * spread  # so that the mean rate is `rate`
    score = bar + skill[:, None] + lure[seen] + random.normal(size=seen.shape)
    return (score > 0).ravel(), np.repeat(np.arange(people), each), seen.ravel()


@pytest.mark.parametrize(
    ("people", "rate", "between_people", "between_images"),
    [(2, 0.15, 0.5, 0.3), (5, 0.15, 0.5, 0.3), (30, 0.15, 0.5, 0.5), (30, 0.1, 0.0, 0.0)],
)
def test_intervals_cover(people, rate, between_people, between_images):
    """600 made-up studies: at least 93 % of the intervals hold the true rate (95 % less 2
    standard errors); Wilson's alone is far below where people differ."""
    random, plain, covered = np.random.default_rng(people), 0, 0
    for _ in range(600):
        wrong, who, what = study_of(random, people, rate, between_people, between_images)
        low, high = study_rates.interval(wrong, who, what)
        covered += low <= rate <= high
        low, high = study_rates.wilson(wrong.mean(), len(wrong))
        plain += low <= rate <= high
    assert covered / 600 >= 0.93
    assert (plain / 600 < 0.85) == (between_people > 0)


def test_intervals_do_not_balloon():
    """Where nobody differs, 30 people's interval is at most a fifth wider than Wilson's."""
    random, widths = np.random.default_rng(0), []
    for _ in range(100):
        wrong, who, what = study_of(random, 30, 0.1, 0, 0)
        low, high = study_rates.interval(wrong, who, what)
        plain = study_rates.wilson(wrong.mean(), len(wrong))
        widths.append((high - low) / (plain[1] - plain[0]))
    assert 1 < np.median(widths) < 1.2


def test_rates_leave_practice_out():
    def judge(trial):
        """All practice wrong; of the rest every real one wrong."""
        return GENERATED if trial.kind == REAL else (REAL if trial.practice else GENERATED)

    session = answer_all(start(), judge)
    counted = [trial.kind for trial in session.trials[3:]]
    found = study_rates.rates(session.answers)
    assert found["R2G"]["mean"] == 1 and found["R2G"]["of"] == counted.count(REAL)
    assert found["G2R"]["mean"] == 0 and found["G2R"]["of"] == counted.count(GENERATED)


def test_rates_of_nothing():
    nothing = {"mean": None, "low": None, "high": None, "wrong": 0, "of": 0}
    assert study_rates.rates([]) == {"R2G": nothing, "G2R": nothing}


def test_sensitivity_and_back():
    assert study_rates.sensitivity(0.5, 0.5) == (0, 0)
    assert study_rates.sensitivity(0.2, 0.8)[0] == pytest.approx(0)
    d, c = study_rates.sensitivity(0.1, 0.05)
    assert d == pytest.approx(1.2816 + 1.6449, abs=1e-3) and c == pytest.approx(0.1816, abs=1e-3)
    assert study_rates.detection(d, c) == pytest.approx((0.1, 0.05))


# ---------------------------------------------------------------- simulated participants


def simulated(kind, people, protocol=user_study.PAPER):
    given = (STUDY, ROW, PAIRS, NAMES, kind, people, protocol)
    return study_rates.rates(simulated_participants.simulated_answers(*given))


@pytest.mark.parametrize(("kind", "wanted"), [("perfect", (0, 0)), ("always real", (0, 1))])
def test_simulated_participants_without_chance(kind, wanted):
    found = simulated(kind, 2)
    assert tuple(found[rate]["mean"] for rate in study_rates.RATES) == wanted
    assert found["R2G"]["of"] + found["G2R"]["of"] == 200


@pytest.mark.parametrize("kind", ["guessing", "mostly real", "believable"])
def test_simulated_participants_with_chance(kind):
    found = simulated(kind, 10)
    for rate, chance in zip(study_rates.RATES, simulated_participants.SIMULATED[kind]):
        assert found[rate]["low"] <= chance <= found[rate]["high"]
        assert abs(found[rate]["mean"] - chance) < 4 * math.sqrt(chance * (1 - chance) / 450)


def test_simulated_answers_are_their_seed_s():
    once = simulated_participants.simulate(start("g", simulated=True), (0.5, 0.5))
    first = [answer.answer for answer in once.answers]
    once.path.unlink()
    sessions = [
        simulated_participants.simulate(start(name, simulated=True), (0.5, 0.5), seed)
        for name, seed in (("g", 0), ("h", 1))
    ]
    again, other = ([answer.answer for answer in session.answers] for session in sessions)
    assert first == again != other


def test_simulated_participants_are_written_anew_and_kept_apart():
    given = (STUDY, ROW, PAIRS, NAMES)
    first = simulated_participants.simulated_answers(*given, "guessing", 2, SHORT)
    simulated_participants.simulated_answers(*given, "perfect", 2, SHORT)
    again = simulated_participants.simulated_answers(*given, "guessing", 2, SHORT)
    assert first.drop(columns="time").equals(again.drop(columns="time"))
    assert set(again.participant) == {"guessing-01", "guessing-02"} and len(again) == 24


def test_simulated_answers_never_reach_the_real_ones():
    simulated("guessing", 2, SHORT)
    assert table2.of_studies([STUDY]) is None
    with pytest.raises(UserError, match="answers cannot be simulated"):
        simulated_participants.simulate(start(), (0.5, 0.5))
    assert not user_study.folder(STUDY, ROW).exists()


# ---------------------------------------------------------------- Table 2


@pytest.fixture
def table():
    """Ann, of 6 + 6 images, takes all for real; Bob does not finish; Cora is right, row G1+D."""
    answer_all(start(), judge=lambda trial: REAL)
    answer_all(start("bob"), judge=lambda trial: GENERATED, upto=8)
    answer_all(start("cora", row="G1+D"))
    return table2.of_studies([STUDY])


def test_table2_beside_the_paper_s(table):
    one, two = table["rows"]
    assert (one["row"], two["row"]) == ("G1+D", ROW)
    assert one["paper"] == {"R2G": 0.171, "G2R": 0.111}
    assert two["paper"] == {"R2G": 0.112, "G2R": 0.055}
    assert two["ours"]["R2G"]["mean"] == 0 and two["ours"]["G2R"]["mean"] == 1
    assert (two["participants"], two["unfinished"], two["answers"]) == (1, 1, 9)
    text = " ".join(table["notes"])
    assert "1 more did not finish" in text and "SHORTENED to 6 real and 6 generated images" in text
    assert "that person only" in text and "drawings of this project" in text


def test_table2_of_the_other_half():
    fashion = replace(STUDY, dataset="synthetic-fashion")
    answer_all(start(study=fashion))
    (line,) = table2.of_studies([STUDY, fashion])["rows"]
    assert line["paper"] == {"R2G": 0.092, "G2R": 0.149}


def test_table2_with_the_whole_protocol_says_nothing_of_shortening():
    for name in ("ann", "bob"):
        session = start(name, user_study.PAPER)
        for trial in session.trials:
            session.record(trial.number, REAL, 983.3 + 33.4 * (trial.number % 2), 1, 2)
    table = table2.of_studies([STUDY])
    text = " ".join(table["notes"])
    assert "SHORTENED" not in text and "that person only" not in text
    assert "200 answers of 2 participants" in text and "983 to 1017" in text
    assert "200 images were shown again" in text


def test_table2_of_nobody():
    answer_all(start(), upto=4)
    assert table2.of_studies([STUDY]) is None


def test_a_generator_trained_again_is_told(table):
    other = user_study.start_session(STUDY, ROW, PAIRS, NAMES, "dora", SHORT, "anew")
    answer_all(other)
    assert "trained again" in " ".join(table2.of_studies([STUDY])["notes"])


@pytest.mark.parametrize(
    "line, field, edit",
    [
        (0, "seed", lambda old: old + 1),
        (0, "row", lambda old: "G1+D"),
        (0, "dataset", lambda old: "market1501"),
        (1, "practice", lambda old: not old),
        (5, "practice", lambda old: not old),
        (5, "image", lambda old: "x" if " from " in old else "x from y"),
        (5, "truth", lambda old: GENERATED if old == REAL else REAL),
    ],
)
def test_table2_refuses_edited_answers(line, field, edit):
    answer_all(start())
    path = user_study.folder(STUDY, ROW) / "ann.jsonl"
    lines = [json.loads(text) for text in path.read_text().splitlines()]
    lines[line][field] = edit(lines[line][field])
    path.write_text("".join(json.dumps(one) + "\n" for one in lines))
    with pytest.raises(UserError, match=rf"ann\.jsonl: {field} is not as planned"):
        table2.of_studies([STUDY])


def test_table2_in_files(table, tmp_path):
    paths = render.write(tmp_path, "table2", table)
    assert [path.name for path in paths] == [f"table2.{x}" for x in ("md", "csv", "tex", "json")]
    assert json.loads(paths[3].read_text()) == table
    markdown, latex = paths[0].read_text(), paths[2].read_text()
    assert "| G1+G2+D | synthetic-market | 1 | 0.0 % [0.0, " in markdown
    assert "| 11.2 % | 100.0 % [" in markdown and "| 5.5 % |" in markdown
    assert "100.0 \\% [" in latex and latex.count(r"\\") == 3
    lines = list(csv.DictReader(io.StringIO(paths[1].read_text())))
    assert [line["row"] for line in lines] == ["G1+D", ROW]
    assert float(lines[1]["G2R"]) == 1 and lines[1]["G2R_paper"] == "0.055"
    assert float(lines[1]["G2R_low"]) == pytest.approx(table["rows"][1]["ours"]["G2R"]["low"], 1e-5)


def test_every_command_character_of_latex_is_escaped(table):
    table["title"] = "50 % & more_#"
    assert render.escape_latex(table["title"]) in render.render(table)[".tex"]


def test_a_row_the_paper_has_not():
    answer_all(start(row="G1-L1"))
    table = table2.of_studies([STUDY])
    assert "| G1-L1 | synthetic-market | 1 |" in render.markdown(table)
    assert "| — |" in render.markdown(table)
    assert ",," in render.render(table)[".csv"]


def test_the_check_chart_shows_estimated_and_expected_rates():
    answers = {}
    for kind in ("guessing", "believable"):
        answers[kind] = simulated_participants.simulated_answers(STUDY, ROW, PAIRS, NAMES, kind, 3)
    found = {kind: study_rates.rates(given) for kind, given in answers.items()}
    figure = check_chart(found, simulated_participants.SIMULATED, answers["believable"])
    left, right = figure.axes
    assert [label.get_text() for label in left.get_yticklabels()] == list(found)
    assert [label.get_text() for label in right.get_xticklabels()] == ["1", "2", "3"]
    assert "guessing R2G" in figure.get_label() and "expected 50.0 %" in figure.get_label()
