"""The Python side of the user study's widget: what it tells the page, and when."""

import io
from functools import partial

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("anywidget")

from pg2lib.apps.user_study import study as user_study  # noqa: E402
from pg2lib.apps.user_study.study import Protocol  # noqa: E402
from pg2lib.apps.user_study.widget import UserStudy  # noqa: E402
from pg2lib.workflow import pipeline  # noqa: E402

PAIRS = np.array([(k, 20 + k) for k in range(20)])
NAMES = [f"{k:04d}.jpg" for k in range(40)]
PROTOCOL = Protocol(6, 6, 3)


def picture(trial):
    return np.full((8, 4, 3), trial.number, np.uint8)


@pytest.fixture
def make(tmp_path, monkeypatch):
    """Makes a widget as a new kernel would; `said` collects what it sends."""
    monkeypatch.setenv("PG2_RUNS", str(tmp_path))
    study = pipeline.Study(profile="smoke")
    start = partial(user_study.start_session, study, "G1+D", PAIRS, NAMES, protocol=PROTOCOL)

    def make(**more):
        one = more.pop("picture", picture)
        widget = UserStudy(start, lambda trials: [one(trial) for trial in trials], PROTOCOL, **more)
        widget.said = []
        widget.send = lambda content, buffers=None: widget.said.append((content, buffers))
        return widget

    return make


def ask(widget, do, **content):
    """What the widget answers to a message."""
    widget.said.clear()
    widget.receive({"do": do, **content})
    return widget.said


def answer(widget, trial, answer="real", **more):
    values = {"exposure_ms": 1000.3, "response_ms": 512.0, "shown": 1, "participant": "ann"}
    return ask(widget, "answer", trial=trial, answer=answer, **(values | more))


def test_somebody_sits_down(make):
    widget = make(participant="ann")
    assert (widget.suggested, widget.participant, widget.total, widget.practice) == (
        "ann", "", 12, 3,
    )  # fmt: skip
    assert ask(widget, "start", participant=" ann ") == [({"started": "ann"}, None)]
    assert (widget.participant, widget.answered, widget.exposure) == ("ann", 0, 1000)
    assert widget.where.endswith("ann.jsonl")


def test_a_bad_name_is_told(make):
    widget = make()
    ((said, _),) = ask(widget, "start", participant="../ann")
    assert "is not a valid name" in said["failed"] and widget.participant == ""


def test_pictures_come_one_by_one_and_say_nothing_of_themselves(make):
    widget = make()
    ask(widget, "start", participant="ann")
    ((content, buffers),) = ask(widget, "image", trial=2)
    assert content == {"image": 2, "participant": "ann"}
    shown = np.asarray(Image.open(io.BytesIO(buffers[0])))
    assert (shown == picture(widget.session.trials[1])).all()
    state = {name: getattr(widget, name) for name in widget.keys if not name.startswith("_")}
    assert not any(trial.name in str(state) for trial in widget.session.trials)
    assert ask(widget, "image", trial=13) == []


def test_all_pictures_are_made_before_the_first_is_shown(make):
    """Painting takes time and reading does not: the wait must not tell them apart."""
    made = []
    widget = make(picture=lambda trial: made.append(trial) or picture(trial))
    ask(widget, "start", participant="ann")
    assert len(made) == 12
    ask(widget, "image", trial=1)
    assert len(made) == 12


def test_saved_is_said_when_it_is_on_the_disk(make):
    widget = make()
    ask(widget, "start", participant="ann")
    on_disk = []
    widget.send = lambda content, buffers=None: on_disk.append(
        (content, len(user_study.read(widget.where)[1]))
    )
    widget.receive(
        {"do": "answer", "participant": "ann", "trial": 1, "answer": "generated",
         "exposure_ms": 1000.3, "response_ms": 512.0, "shown": 2}
    )  # fmt: skip
    assert on_disk == [({"saved": 1, "participant": "ann"}, 1)]
    (_, (kept,), _) = user_study.read(widget.where)
    assert (kept.answer, kept.exposure_ms, kept.shown) == ("generated", 1000.3, 2)
    assert widget.answered == 1


def test_an_answer_sent_twice_is_kept_once(make):
    widget = make()
    ask(widget, "start", participant="ann")
    for _ in range(2):
        assert answer(widget, 1) == [({"saved": 1, "participant": "ann"}, None)]
    assert widget.answered == 1 and len(user_study.read(widget.where)[1]) == 1


def test_an_answer_that_cannot_be_kept_is_told_and_not_lost(make, monkeypatch):
    widget = make()
    ask(widget, "start", participant="ann")
    answer(widget, 1)

    def full(handle):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(user_study.os, "fsync", full)
        ((said, _),) = answer(widget, 2)
        assert "No space left" in said["failed"] and widget.answered == 1
    assert answer(widget, 2)[0][0]["saved"] == 2


def test_a_reloaded_page_finds_its_place(make):
    """The kernel lives: the new view reads the traits, and may sit down again."""
    widget = make()
    ask(widget, "start", participant="ann")
    answer(widget, 1)
    assert (widget.participant, widget.answered) == ("ann", 1)
    assert ask(widget, "start", participant="ann") == [({"started": "ann"}, None)]
    assert widget.answered == 1


def test_a_new_kernel_goes_on_from_the_file(make):
    first = make()
    ask(first, "start", participant="ann")
    for trial in range(1, 6):
        answer(first, trial)
    second = make()
    ask(second, "start", participant="ann")
    assert second.answered == 5 and second.session.trials == first.session.trials
    assert answer(second, 6)[0][0] == {"saved": 6, "participant": "ann"}


def test_at_the_end_one_s_own_rates(make):
    widget = make()
    ask(widget, "start", participant="ann")
    for trial in range(1, 13):
        assert widget.result == {}
        answer(widget, trial, "real")
    real = sum(trial.kind == "real" for trial in widget.session.trials[3:])
    assert widget.result == {"R2G": [0, real], "G2R": [9 - real, 9 - real]}


def test_the_next_one_sits_down(make):
    widget = make()
    ask(widget, "start", participant="ann")
    answer(widget, 1)
    ask(widget, "leave")
    assert (widget.participant, widget.answered, widget.result) == ("", 0, {})
    ((said, _),) = answer(widget, 2)
    assert "the session of ann has ended" in said["failed"]
    ask(widget, "start", participant="bob")
    ((said, _),) = answer(widget, 1)
    assert "the session of ann has ended" in said["failed"]
    answer(widget, 1, participant="bob")
    assert widget.answered == 1 and widget.where.endswith("bob.jsonl")


@pytest.mark.parametrize(
    "content",
    [
        {},
        {"do": "fly"},
        {"do": "start"},
        {"do": "start", "participant": 7},
        {"do": "image", "trial": "1"},
        {"do": "answer", "participant": "ann", "trial": 1},
        {"do": "answer", "participant": "ann", "trial": "1", "answer": "real"},
        {"do": "answer", "participant": "ann", "trial": 1, "answer": "real",
         "exposure_ms": "x", "response_ms": 1, "shown": 1},
    ],
)  # fmt: skip
def test_a_malformed_message_is_told_and_changes_nothing(make, content):
    widget = make()
    ask(widget, "start", participant="ann")
    widget.said.clear()
    widget.receive(content)
    ((said, _),) = widget.said
    assert list(said) == ["failed"] and said["failed"]
    assert (widget.participant, widget.answered) == ("ann", 0)


def test_the_page_is_one_module_that_fetches_nothing():
    for source in (UserStudy._esm, UserStudy._css):
        text = str(source)
        assert "http" not in text and "@import" not in text and "import(" not in text
