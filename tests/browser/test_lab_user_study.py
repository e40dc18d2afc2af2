"""The user study in JupyterLab: somebody agrees, answers ten images, is interrupted twice."""

import json
from pathlib import Path

import pytest
from browsing import (
    KEYS,
    binding,
    evaluate,
    excerpt,
    faults,
    in_kernel,
    open_notebook,
    run_all,
    save,
    settle,
    try_keys,
    until,
    widget_in_view,
)

PARTICIPANT = "browser-test"
EXPOSURE = 1000  # milliseconds, the paper's
# A look ends with the frame nearest to its time, at 30 frames a second or more.
HALF_A_FRAME = 17
# Writes down, on the page's clock, when the image is seen and when no more.
WATCH = """root => {
  window.looks = [];
  let since = null;
  new MutationObserver(() => {
    const image = root.querySelector('.pg2-study-image');
    const seen = image !== null && getComputedStyle(image).visibility === 'visible';
    if (seen && since === null) since = performance.now();
    if (!seen && since !== null) {
      window.looks.push(performance.now() - since);
      since = null;
    }
  }).observe(root, { attributes: true, childList: true, subtree: true });
}"""


def state(root):
    return root.get_attribute("data-state")


def answered(root):
    return int(root.get_attribute("data-trial"))


def begin(page, root, participant=PARTICIPANT):
    """Agree, give the name and start."""
    assert state(root) == "consent"
    root.locator("[data-do='agree']").click()
    root.locator("input[name='participant']").fill(participant)
    root.locator("[data-do='start']").click()
    until(page, lambda: root.get_attribute("data-participant") == participant, "a session")


def answer(page, root, count):
    """Answer the next images, by key and by button in turn, real and fake; returns the answers."""
    given = []
    for _ in range(count):
        number = answered(root) + 1
        until(page, lambda: state(root) in ("asking", "ready"), "a question")
        if state(root) == "ready":  # at the start, after practice, after an interruption
            root.locator("[data-do='start']").click()
            until(page, lambda: state(root) == "asking", "a question")
        kind = ("real", "fake")[number // 2 % 2]
        if number % 2:
            page.keyboard.press({"real": "r", "fake": "f"}[kind])
        else:
            root.locator(f"[data-answer='{kind}']").click()
        until(page, lambda: answered(root) >= number, "the answer is saved")  # noqa: B023
        given.append({"real": "real", "fake": "generated"}[kind])
    return given


def seat(page):
    """The study's root on the page, watched."""
    root = widget_in_view(page, ".pg2-study")
    root.evaluate(WATCH)
    return root


def open_study(page, server):
    """The notebook, run as far as its study; the study's root."""
    open_notebook(
        page, server.lab(excerpt(server, "09_user_study.ipynb", last="UserStudy(", profile="demo"))
    )
    run_all(page)
    assert faults(page) == []
    return seat(page)


def test_answer_keys_on_a_control_leave_the_notebook_alone(page, server):
    root = open_study(page, server)
    keys = ("f", "ArrowLeft", "ArrowRight", *KEYS)
    tried = try_keys(page, root, keys, clicked=lambda about: False)  # the consent
    high = root.bounding_box()["height"]
    begin(page, root, "browser-keys")
    until(page, lambda: state(root) == "asking", "a question")
    assert root.bounding_box()["height"] == high  # no page of the card is higher than another
    assert root.locator("[data-do='start']").is_hidden()
    root.locator("[data-do='pause']").click()
    others = [key for key in KEYS if key not in ("r", "Escape")]  # these answer and pause
    tried += try_keys(page, root, others, lambda about: False)
    page.keyboard.press("r")
    until(page, lambda: answered(root) == 1 and state(root) == "ready", "the page between images")
    tried += try_keys(page, root, keys, lambda about: False)
    assert answered(root) == 1  # a key pressed too often is no answer
    assert root.bounding_box()["height"] == high
    assert {"agree", "start", "pause"} <= {what for _, what in tried}


def test_ten_images_are_answered_and_on_the_disk(page, server):
    root = open_study(page, server)
    assert in_kernel(page, "_widget.exposure", binding("UserStudy")) == EXPOSURE
    begin(page, root)
    file = Path(in_kernel(page, "_widget.where"))
    assert file.name == f"{PARTICIPANT}.jsonl"
    given = answer(page, root, 4)
    looks = page.evaluate("window.looks")
    assert len(rows(file)) == 5  # the session, and answers saved as they are given

    save(page)
    page.reload()
    settle(page)
    root = seat(page)
    until(page, lambda: answered(root) == 4, "the fifth image after a reload")
    given += answer(page, root, 3)
    looks += page.evaluate("window.looks")

    evaluate(page, "kernel.restart().then(() => null)")
    settle(page)
    run_all(page)
    root = seat(page)
    begin(page, root)
    until(page, lambda: answered(root) == 7, "the eighth image after a restart of the kernel")
    given += answer(page, root, 3)
    looks += page.evaluate("window.looks")

    facts, *lines = rows(file)
    assert facts["participant"] == PARTICIPANT and not facts["simulated"]
    assert [int(line["trial"]) for line in lines] == list(range(1, 11))
    assert [line["answer"] for line in lines] == given
    assert len({line["image"] for line in lines}) == 10
    assert {line["truth"] for line in lines} <= {"real", "generated"}
    exposures = [float(line["exposure_ms"]) for line in lines]
    assert min(exposures) >= EXPOSURE - HALF_A_FRAME
    assert sorted(exposures)[5] <= 1.1 * EXPOSURE  # a busy machine drops frames now and then
    # What is written down is what the page showed, by a watch of its own.
    assert exposures == pytest.approx(looks, abs=100)


def rows(file):
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
