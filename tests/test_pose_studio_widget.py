"""The widget: messages of the page carried out, answered with pictures; mistakes told."""

import base64
import io
import json

import numpy as np
import pytest
import torch
from PIL import Image

from pg2lib.apps.pose_studio import studio
from pg2lib.apps.pose_studio import widget as pose_studio
from pg2lib.apps.pose_studio.widget import PoseStudio
from pg2lib.data.keypoints import JOINTS, LIMBS, found
from pg2lib.models.base import Output

ONE, TWO = "G1-L1", "G1+G2+D"
FOLLOWING = ("pose", "can_undo", "can_redo", "row", "second", "condition", "key_poses", "between",
             "fps", "frame", "frames", "playing", "still")  # fmt: skip


def painter(row):
    def paint(inputs):
        coarse = inputs.condition * inputs.target_keypoints.clamp(0, 60).mean() / 60
        parts = {"coarse": coarse, "difference": torch.zeros_like(coarse)}
        return Output(coarse, {} if row == ONE else parts)

    return paint


@pytest.fixture
def widget(data, monkeypatch):
    made = PoseStudio(studio.Studio(data, painter, [ONE, TWO], TWO))
    made.sent = []
    monkeypatch.setattr(
        made, "send", lambda content, buffers=(): made.sent.append((content, list(buffers)))
    )
    return made


def ask(widget, buffers=(), **content):
    """One message as it comes over the wire; what was sent for it."""
    widget.sent.clear()
    widget._handle_custom_msg(json.loads(json.dumps(content)), [memoryview(b) for b in buffers])
    return widget.sent


def traits(widget):
    return {name: getattr(widget, name) for name in FOLLOWING}


def test_the_traits_say_how_the_studio_is(widget, data):
    state = widget.get_state()
    json.dumps({name: state[name] for name in state if name not in ("layout", "tooltip")})
    assert (state["height"], state["width"]) == (data.height, data.width)
    assert state["joints"] == list(JOINTS) and len(state["colours"]) == 18
    assert [tuple(limb) for limb in state["limbs"]] == list(LIMBS)
    assert state["rows"] == [ONE, TWO] and (state["row"], state["second"]) == (TWO, "")
    assert len(state["conditions"]) == len(state["poses"]) == len(widget.studio.choices)
    pose = widget.studio.pose
    assert [place is not None for place in state["pose"]] == found(pose).tolist()
    assert state["pose"][1] == pose[1].tolist()
    assert not state["can_undo"] and state["message"] == state["kind"] == ""


def test_a_drag_is_answered_with_pictures_of_its_serial(widget, data):
    (answer,) = ask(widget, do="move", joint=3, x=7.5, y=9, serial=41)
    content, buffers = answer
    assert content["serial"] == 41 and content["milliseconds"] > 0
    assert widget.pose[3] == [7.5, 9] and widget.can_undo
    names = [about["name"] for about in content["pictures"]]
    assert names == [
        "condition", "heatmaps", "mask", f"coarse:{TWO}", f"difference:{TWO}", f"refined:{TWO}"
    ]  # fmt: skip
    for about, buffer, picture in zip(content["pictures"], buffers, widget.studio.pictures()):
        assert (about["height"], about["width"]) == (data.height, data.width)
        pixels = np.frombuffer(buffer, np.uint8).reshape(data.height, data.width, 4)
        np.testing.assert_array_equal(pixels[..., :3], picture.image)
        assert (pixels[..., 3] == 255).all()
    json.dumps(content)


def test_every_step_of_the_editor_can_be_asked_for(widget):
    first = widget.pose
    joint = next(k for k, place in enumerate(first) if place)
    ask(widget, do="drop", joint=joint, x=1, y=2.5)
    assert widget.pose[joint] == [1, 2.5]
    ask(widget, do="hide", joint=joint)
    assert widget.pose[joint] is None
    ask(widget, do="show", joint=joint)
    assert widget.pose[joint] == [1, 2.5]
    ask(widget, do="mirror")
    ask(widget, do="undo")
    assert widget.pose[joint] == [1, 2.5] and widget.can_redo
    ask(widget, do="redo")
    assert not widget.can_redo
    ask(widget, do="reset")
    assert widget.pose == first
    ask(widget, do="take", pose=2)
    assert widget.pose == pose_studio.as_list(
        widget.studio.data.keypoints[widget.studio.choices[2]]
    )


def test_rows_condition_and_photo(widget):
    ask(widget, do="second", name=ONE)
    assert widget.second == ONE
    ask(widget, do="second", name="")
    ask(widget, do="row", name=ONE)
    assert (widget.row, widget.second) == (ONE, "")
    ask(widget, do="condition", index=3)
    assert widget.condition == 3
    stream = io.BytesIO()
    Image.new("RGB", (30, 60), (9, 200, 30)).save(stream, format="PNG")
    ((content, buffers),) = ask(widget, [stream.getvalue()], do="condition_file", name="me.png")
    assert widget.condition == -1 and widget.message.startswith("me.png: 30x60")
    assert buffers[0][:3] == bytes((9, 200, 30)) and content["serial"] is None
    window = {"left": 3.5, "top": -2, "height": 40}
    ask(widget, [stream.getvalue()], do="condition_file", name="me.png", **window)
    assert "padded with repeated edge pixels (2 above)" in widget.message


def test_the_timeline(widget):
    ask(widget, do="key_add")
    ask(widget, do="drop", joint=3, x=3, y=4)
    ask(widget, do="key_add")
    assert [key["name"] for key in widget.key_poses] == ["pose 1", "pose 2"]
    assert widget.key_poses[1]["pose"][3] == [3, 4]
    ask(widget, do="between", value=1)
    ask(widget, do="fps", value=12.5)
    assert (widget.frames, widget.fps) == (3, 12.5)
    ask(widget, do="play")
    assert widget.playing
    ((content, _),) = ask(widget, do="seek", frame=5, serial=2)
    assert widget.frame == 2 and widget.pose[3] == [3, 4] and content["serial"] == 2
    ask(widget, do="still", value=0)
    assert widget.still is False
    ask(widget, do="stop")
    ask(widget, do="key_up", index=1)
    assert [key["name"] for key in widget.key_poses] == ["pose 2", "pose 1"]
    ask(widget, do="key_down", index=0)
    ask(widget, do="key_load", index=0)
    assert widget.frame == 0 and not widget.playing
    ask(widget, do="key_remove", index=0)
    assert len(widget.key_poses) == widget.frames == 1
    ask(widget, do="walk")
    assert len(widget.key_poses) == 12 and widget.message
    ask(widget, do="clear_keys")
    assert widget.key_poses == [] and widget.message == ""


def test_files_to_keep(widget):
    ((content, (text,)),) = ask(widget, do="export")
    assert content == {"download": "pose.json", "mime": "application/json"}
    pose = widget.pose
    ask(widget, do="mirror")
    ask(widget, do="import", text=text.decode(), name="pose.json")
    assert widget.pose == pose and "pose.json" in widget.message
    ask(widget, do="key_add")
    ask(widget, do="key_add")
    for do, name, mime in (("gif", "sequence.gif", "GIF"), ("strip", "strip.png", "PNG")):
        ((content, (file,)),) = ask(widget, do=do)
        assert content["download"] == name and content["mime"] == f"image/{mime.lower()}"
        with Image.open(io.BytesIO(file)) as image:
            assert image.format == mime
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(file))), widget.studio.strip())


@pytest.mark.parametrize(
    "content, words",
    [
        (dict(do="row", name="G9"), "unknown row 'G9'"),
        (dict(do="import", text="{", name="me.json"), "me.json is not valid JSON"),
        (dict(do="condition", index=9999), "there is no image 9999"),
        (dict(do="hide", joint=18), "there is no joint 18"),
        (dict(do="move", joint=1, x=None, y=2), "'move' needs x; None was sent"),
        (dict(do="move", joint="1", x=1, y=2), "'move' needs joint; '1' was sent"),
        (dict(do="between", value=True), "'between' needs value; True was sent"),
        (dict(do="gif"), "the timeline is empty"),
        (dict(do="condition_file", name="me.png"), "'condition_file' needs a file"),
        (dict(do="key_load", index="1"), "'key_load' needs index; '1' was sent"),
        (dict(do="fly"), "unknown action 'fly'"),
        (dict(), "unknown action None"),
    ],
)
def test_a_mistake_is_a_sentence_and_changes_nothing(widget, content, words):
    ask(widget, do="drop", joint=2, x=5, y=5)
    before = traits(widget)
    assert ask(widget, **content) == []
    assert words in widget.message and widget.kind == "error"
    assert traits(widget) == before
    ((answer, _),) = ask(widget, **content, serial=8)  # the page must not wait for ever
    assert answer["pictures"] == [] and answer["serial"] == 8
    ask(widget, do="undo")
    assert widget.message == widget.kind == ""


def test_the_page_is_answered_even_when_a_network_breaks(widget, monkeypatch):
    def broken():
        raise RuntimeError("sizes do not match")

    monkeypatch.setattr(widget.studio, "pictures", broken)
    ((answer, buffers),) = ask(widget, do="mirror", serial=4)
    assert (answer["pictures"], answer["serial"], buffers) == ([], 4, [])


def test_a_refresh_sends_what_was_changed_by_hand(widget):
    widget.studio.editor.drop(1, 6, 6)
    assert widget.pose[1] != [6, 6]
    widget.refresh()
    assert widget.pose[1] == [6, 6] and len(widget.sent) == 1
    ((content, _),) = ask(widget, do="refresh", serial=0)
    assert content["serial"] == 0 and len(content["pictures"]) == 6


def test_a_picture_stands_in_for_the_widget_in_a_saved_notebook(widget):
    bundle, _ = widget._repr_mimebundle_()
    assert bundle["application/vnd.jupyter.widget-view+json"]["model_id"] == widget.model_id
    with Image.open(io.BytesIO(base64.b64decode(bundle["image/png"]))) as image:
        assert image.format == "PNG" and image.width > image.height


def test_what_is_saved_in_a_notebook_is_short(widget):
    data = widget.studio.data
    assert repr(widget) == f"PoseStudio({data.name}, {data.height}x{data.width}, {TWO})"
    assert "/" not in repr(widget)
