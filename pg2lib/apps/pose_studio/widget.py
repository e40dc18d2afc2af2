"""The pose studio in a notebook: `Studio` with a canvas on which joints are dragged, an anywidget.

The page (`widget.js`) sets no trait. It sends messages, dicts with an action in "do"; Python
carries them out, updates the traits and sends the pictures as raw pixels. A message with a serial
is always answered with it, so that the page can wait before it sends the next place of a joint.
"""

import time
from pathlib import Path

import anywidget
import numpy as np
import traitlets

from pg2lib.apps.pose_studio.studio import Studio
from pg2lib.core.config import require_in
from pg2lib.core.files import UserError
from pg2lib.data.keypoints import JOINTS, LIMBS, found
from pg2lib.results import figures, provenance
from pg2lib.results.browse import standing_in

HERE = Path(__file__).parent
NUMBER = int | float
# Actions of the page that are methods of the editor: the fields that the message needs.
EDITS = {
    "move": ("joint", "x", "y"), "drop": ("joint", "x", "y"), "show": ("joint",),
    "hide": ("joint",), "mirror": (), "undo": (), "redo": (), "reset": (),
}  # fmt: skip
# The other actions: the fields, and the function that does it.
ACTIONS = {
    "refresh": ((), lambda studio: None),
    "take": (("pose",), Studio.take),
    "import": (("text", "name"), Studio.read_pose),
    "condition": (("index",), Studio.choose_condition),
    "row": (("name",), Studio.choose_row),
    "second": (("name",), Studio.choose_second),
    "key_add": ((), Studio.add_key),
    "key_remove": (("index",), Studio.remove_key),
    "key_load": (("index",), Studio.load_key),
    "key_up": (("index",), lambda studio, index: studio.shift_key(index, -1)),
    "key_down": (("index",), lambda studio, index: studio.shift_key(index, 1)),
    "clear_keys": ((), Studio.clear_keys),
    "walk": ((), Studio.add_walk),
    "between": (("value",), Studio.set_between),
    "fps": (("value",), Studio.set_fps),
    "seek": (("frame",), Studio.seek),
    "play": ((), Studio.play),
    "stop": ((), Studio.stop),
    "still": (("value",), Studio.hold_background),
}
TYPES = dict.fromkeys(("x", "y", "value", "left", "top", "height"), NUMBER)  # others: int
TYPES |= {"text": str, "name": str}
# Actions that produce a file: its name and MIME type, and the function that makes its bytes.
DOWNLOADS = {
    "export": ("pose.json", "application/json", Studio.pose_file),
    "gif": ("sequence.gif", "image/gif", Studio.gif),
    "strip": ("strip.png", "image/png", lambda studio: provenance.to_png_bytes(studio.strip())),
}


def synced(kind, count: int):
    """Traits of one kind that the page receives."""
    return (kind().tag(sync=True) for _ in range(count))


class PoseStudio(anywidget.AnyWidget):
    """The user interface of a `Studio`, its attribute `studio`, which the traits mirror; call
    `refresh` after changing the studio from Python."""

    _esm = HERE / "widget.js"
    _css = HERE / "widget.css"

    joints = traitlets.List(list(JOINTS)).tag(sync=True)
    limbs = traitlets.List([list(limb) for limb in LIMBS]).tag(sync=True)
    colours = traitlets.List(figures.joint_colours().tolist()).tag(sync=True)
    height, width, condition, between, frame, frames = synced(traitlets.Int, 6)
    pose, rows, conditions, poses, key_poses = synced(traitlets.List, 5)
    row, second, message, kind = synced(traitlets.Unicode, 4)
    can_undo, can_redo, playing, still = synced(traitlets.Bool, 4)
    (fps,) = synced(traitlets.Float, 1)

    def __init__(self, studio: Studio):
        self.studio = studio
        labels, (height, width) = studio.labels, studio.size
        fixed = {"rows": list(studio.rows), "conditions": labels, "poses": labels}
        super().__init__(height=height, width=width, **fixed, **state(studio))
        self.on_msg(self._receive)

    def __repr__(self):
        data, rows = self.studio.data, " and ".join(self.studio.shown_rows)
        return f"PoseStudio({data.name}, {data.height}x{data.width}, {rows})"

    def _repr_mimebundle_(self, **kwargs):
        """The widget, and for readers of a saved notebook a picture of the studio's state."""
        bundle, about = super()._repr_mimebundle_(**kwargs)
        return standing_in(bundle, provenance.show(self.studio.snapshot())), about

    def refresh(self):
        """Show the current state of the studio."""
        self._update()
        self._answer(self.studio.pictures())

    def _receive(self, _, content, buffers):
        """Carry out a message of the page; a UserError becomes a message on the page."""
        serial, started, pictures = content.get("serial"), time.perf_counter(), ()
        self.studio.message = ""
        try:
            if content.get("do") in DOWNLOADS:
                name, mime, make = DOWNLOADS[content["do"]]
                self.send({"download": name, "mime": mime}, [make(self.studio)])
            else:
                act(self.studio, content, buffers)
                pictures = self.studio.pictures()
            self._update()
        except UserError as error:
            self._update(str(error))
        finally:
            if pictures or serial is not None:
                self._answer(pictures, serial, time.perf_counter() - started)

    def _update(self, error: str = ""):
        """Set the traits to the state of the studio."""
        with self.hold_sync():
            for name, value in state(self.studio, error).items():
                setattr(self, name, value)

    def _answer(self, pictures, serial=None, seconds: float = 0.0):
        listed = [
            {"name": name, "title": title, "width": image.shape[1], "height": image.shape[0]}
            for name, title, image in pictures
        ]
        content = {"pictures": listed, "serial": serial, "milliseconds": round(1000 * seconds, 1)}
        self.send(content, [rgba(picture.image) for picture in pictures])


def act(studio: Studio, content: dict, buffers):
    """Carry out the action of a message. UserError for an unknown action or wrong fields."""
    action = content.get("do")
    if action == "condition_file":
        if not buffers:
            raise UserError("'condition_file' needs a file; none was sent.")
        crop = fields(content, ("left", "top", "height")) if "height" in content else None
        studio.open_photo(bytes(buffers[0]), *fields(content, ("name",)), crop)
    elif require_in("action", action, [*EDITS, *ACTIONS]) in EDITS:
        getattr(studio.editor, action)(*fields(content, EDITS[action]))
    else:
        names, do = ACTIONS[action]
        do(studio, *fields(content, names))


def fields(content: dict, names) -> list:
    """The values of a message's fields. UserError for one that is missing or of the wrong type."""
    for name in names:
        value = content.get(name)
        if isinstance(value, bool) or not isinstance(value, TYPES.get(name, int)):
            raise UserError(f"'{content.get('do')}' needs {name}; {value!r} was sent.")
    return [content[name] for name in names]


def state(studio: Studio, error: str = "") -> dict:
    """The traits that follow a studio."""
    same = ("row", "second", "condition", "fps", "frame", "playing", "still")
    timeline = studio.timeline
    return {name: getattr(studio, name) for name in same} | {
        "pose": as_list(studio.pose),
        "can_undo": studio.editor.can_undo,
        "can_redo": studio.editor.can_redo,
        "key_poses": [{"name": key.name, "pose": as_list(key.pose)} for key in timeline.keys],
        "between": timeline.between,
        "frames": len(timeline),
        "message": error or studio.message,
        "kind": "error" if error else "",
    }


def as_list(pose) -> list:
    """A pose (18, 2) for the page: [x, y] per joint, None for a missing one."""
    return [point.tolist() if here else None for point, here in zip(pose, found(pose))]


def rgba(image) -> bytes:
    """The pixels of an image uint8 (H, W, 3) in the format of a canvas."""
    return np.dstack([image, np.full_like(image[..., :1], 255)]).tobytes()
