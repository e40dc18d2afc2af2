"""The widgets' JavaScript modules, tested in node by tests/javascript/*.test.mjs."""

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from pg2lib.apps.photo import generate
from pg2lib.apps.pose_studio import walking
from pg2lib.apps.pose_studio.editor import guess
from pg2lib.apps.site import studio_page
from pg2lib.data.keypoints import BODY_25, LIMBS, openpose_json, parse_openpose

FILES = sorted((Path(__file__).parent / "javascript").glob("*.test.mjs"))
NODE = shutil.which("node")


def major_version():
    done = subprocess.run([NODE, "--version"], capture_output=True, text=True, check=True)
    return int(done.stdout.lstrip("v").split(".")[0])


@pytest.mark.skipif(NODE is None, reason="node is not installed; it runs the JavaScript tests")
@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name.removesuffix(".test.mjs"))
def test_module_in_node(file):
    if major_version() < 20:
        pytest.skip(f"{NODE} is older than version 20, whose test runner these tests need")
    done = subprocess.run([NODE, "--test", str(file)], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    # A file without tests passes as one test; these have some.
    passed = next(line for line in done.stdout.splitlines() if line.startswith("# pass "))
    assert int(passed.split()[-1]) > 1


def in_node(code: str):
    """What an ES module prints as JSON."""
    node = [NODE, "--input-type=module"]
    done = subprocess.run(node, input=code, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.skipif(NODE is None, reason="node is not installed")
def test_the_page_guesses_a_missing_joint_as_the_notebook_does():
    standing, random = walking.standing(128, 64), np.random.default_rng(0)
    poses = np.where(random.random((20, 18, 1)) < 0.6, random.uniform(5, 60, (20, 18, 2)), -1)
    places = [[None if x < 0 else [x, y] for x, y in pose.tolist()] for pose in poses]
    of = json.dumps({"limbs": LIMBS, "standing": standing.tolist()})
    found = in_node(
        f'import {{ guess }} from "{studio_page.module(studio_page.HERE / "parts.js")}";'
        f"const own = {json.dumps(places)}.map((pose) => pose.map((_, k) => guess(pose, k, {of})));"
        "console.log(JSON.stringify(own.map((pose) => pose.map(({ x, y }) => [x, y]))));"
    )
    expected = [[guess(pose, joint, 128, 64) for joint in range(18)] for pose in poses]
    np.testing.assert_allclose(found, expected, atol=1e-3)


def poses_to_import(random):
    """Standing, seen from behind, without legs, lying and with arms spread, in three sizes."""
    standing = walking.standing(128, 64)
    behind, upper, lying, wide = (standing.copy() for _ in range(4))
    behind[[0, 14, 15, 16, 17]] = upper[[9, 10, 12, 13]] = np.nan
    lying, wide[[3, 4, 6, 7]] = lying[:, ::-1], [(4, 40), (-60, 38), (60, 40), (124, 38)]
    for pose in (standing, behind, upper, lying, wide):
        for scale in (0.25, 4, 6.5):
            moved = np.round(scale * (pose + 70)) + random.integers(0, 9, 2)
            yield np.nan_to_num(moved, nan=-1)


@pytest.mark.skipif(NODE is None, reason="node is not installed")
def test_the_page_brings_an_openpose_file_into_the_frame_as_the_notebook_does():
    """To the pixel: the coordinates are whole numbers, which float32 holds."""
    size = 128, 64
    files = [openpose_json(pose) for pose in poses_to_import(np.random.default_rng(0))]
    page = {"height": 128, "width": 64, "body25": BODY_25, "framing": studio_page.FRAMING}
    found = in_node(
        f'import {{ readPose }} from "{studio_page.module(studio_page.HERE / "parts.js")}";'
        f"const read = (text) => readPose(text, {json.dumps(page)});"
        f"console.log(JSON.stringify({json.dumps(files)}.map(read)));"
    )
    larger = 0
    for text, own in zip(files, found):
        expected = parse_openpose(json.loads(text), "a file")
        if (expected > (63, 127)).any():
            expected, larger = generate.place(expected[None], size)[0][0], larger + 1
        np.testing.assert_array_equal([place or (-1, -1) for place in own], expected)
    assert 9 < larger < len(files)


def page_model(code: str):
    """What code prints of a `model` of the page, whose pose has one joint and whose rows are
    "G1" and "broken"."""
    people = {"poses": [[[1, 1]]], "target": 0, "condition": 0, "swap": [0], "rows": ["G1"]}
    people |= {"height": 2, "width": 1, "joints": ["nose"], "limbs": [], "colours": [[0, 0, 0]]}
    people["labels"] = ["a"]
    return in_node(
        f'import {{ Model, engine }} from "{studio_page.module(studio_page.HERE / "page.js")}";'
        "const run = async (name) => {"
        '  if (name === "broken") throw new Error("it is missing");'
        "  const one = new Float32Array(6);"
        '  return name === "maps" ? { heatmaps: one, mask: one, person: one } : { image: one };'
        "};"
        f"const model = new Model({json.dumps(people)}, new Uint8Array(6), run);"
        "const send = async (message, buffers) => {"
        "  model.send(message, {}, buffers); await model.busy; await model.painted;"
        '  return model.get("kind") === "error" ? model.get("message") : "";'
        "};"
        f"console.log(JSON.stringify(await (async () => {{ {code} }})()));"
    )


@pytest.mark.skipif(NODE is None, reason="node is not installed")
def test_a_frame_asked_for_after_the_timeline_is_cleared_changes_nothing():
    found = page_model('model.seek(3); return [model.get("frame"), model.editor.pose];')
    assert found == [0, [[1, 1]]]


@pytest.mark.skipif(NODE is None, reason="node is not installed")
def test_the_page_answers_on_after_a_key_pose_that_is_gone():
    said, names, after = page_model(
        "const said = [];"
        'for (const action of ["key_up", "key_load", "key_remove"]) {'
        '  await send({ do: "key_add" });'
        "  said.push(await send({ do: action, index: 7 }));"
        "}"
        'await send({ do: "key_up", index: 2 });'
        'return [said, model.keys.map(({ name }) => name), await send({ do: "undo" })];'
    )
    assert said == ["there is no key pose 8 any more."] * 3
    assert names == ["pose 1", "pose 3", "pose 2"] and after == ""


@pytest.mark.skipif(NODE is None, reason="node is not installed")
def test_the_page_keeps_row_and_image_where_the_new_one_cannot_be_used():
    row, photo, left, image = page_model(
        'const said = [await send({ do: "row", name: "broken" })];'
        'said.push(await send({ do: "condition_file", name: "dot.png" }, [new ArrayBuffer(9)]));'
        'return [...said, model.get("row"), Array.from(model.image)];'
    )
    assert row == "it is missing" and photo.startswith("dot.png is too small")
    assert left == "G1" and image == [0, 0, 0, 255] * 2


@pytest.mark.skipif(NODE is None, reason="node is not installed")
def test_networks_that_break_answer_every_question_with_it():
    found = page_model(
        "let worker;"
        "globalThis.Worker = class {"
        "  constructor() { worker = this; }"
        "  postMessage({ id }) { if (id < 3) this.onmessage({ data: { id, made: 10 * id } }); }"
        "};"
        "const { ask, waiting } = engine();"
        "const answers = [await ask({}), await ask({})];"
        "const [third, fourth] = [ask({}), ask({})];"
        "worker.onerror();"
        "for (const asked of [third, fourth, ask({})])"
        "  await asked.catch(({ message }) => answers.push(message));"
        "return [answers, waiting.size];"
    )
    assert found == [[10, 20] + ["The networks do not start in this browser."] * 3, 0]
