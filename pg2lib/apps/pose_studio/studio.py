"""The pose studio without a screen: a condition image, a pose to edit, and what the rows paint.

`Studio` holds the state, and every method is one thing that people do with it. The widget
(`widgets.pose_studio`) passes messages on to it; a notebook or a test calls it directly.
"""

import contextlib
import tempfile
from collections import Counter, OrderedDict
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from pg2lib.apps.photo import generate, photo, sequence
from pg2lib.apps.pose_studio import walking as walk
from pg2lib.apps.pose_studio.editor import PoseEditor, Timeline
from pg2lib.core import devices
from pg2lib.core.files import UserError
from pg2lib.data import heatmaps
from pg2lib.data.keypoints import found, read_openpose_json, torso_found, write_openpose_json
from pg2lib.models import experiments
from pg2lib.results import figures
from pg2lib.workflow import pipeline
from pg2lib.workflow import run_store as runs
from pg2lib.workflow import shipped as demo

KEPT = 128  # painted pictures that are remembered, so that a sequence that plays is painted once
MOST_CHOICES = 400  # images that can be chosen: more than anybody looks through
FPS = 8.0


class Picture(NamedTuple):
    """name as the front end knows it ("mask", "refined:G1+G2+D"), title for people, and the
    picture, uint8 (H, W, 3)."""

    name: str
    title: str
    image: np.ndarray


class Studio:
    """A condition image I_A, a target pose P_B being edited, a timeline, and one row or two.

    A mistake raises UserError and leaves everything as it was. Attributes to read: `data`, `rows`
    (that can be chosen), `row`, `second` (a row or ""), `choices` (indices of data.images that can
    be condition or give a pose), `condition` (an index into them, -1 for a photo), `editor`,
    `timeline`, `frame` (place in the timeline's sequence), `playing`, `fps`, `message` (what was
    done last that is worth a sentence).
    """

    def __init__(
        self,
        data,
        painter,
        rows,
        row=None,
        second="",
        mask_variant="released",
        heatmap_radius=4,
        device="cpu",
    ):
        """data: datasets.Dataset. painter: function row -> painter (see `training.painter`), called
        once a row is chosen. mask_variant, heatmap_radius: see `heatmaps`. `opening`
        tells which test pair gives the first condition image and pose."""
        self.data, self.rows, self.device = data, tuple(rows), device
        self.mask_variant, self.heatmap_radius = mask_variant, heatmap_radius
        self._painter, self._painters, self._kept = painter, {}, OrderedDict()
        self.row, self.second = "", ""
        self.choose_row(row or self.rows[-1])
        self.choose_second(second)
        first, target = opening(data)
        self.choices = choices(data)
        self.condition = self.choices.index(first)
        self.image, self._version = np.array(data.images[first]), 0
        self.editor = PoseEditor(data.keypoints[target], data.height, data.width)
        self.timeline, self.frame, self.playing, self.fps = Timeline(), 0, False, FPS
        self.message = ""

    # ------------------------------------------------------------ what is shown

    @property
    def pose(self) -> np.ndarray:
        """The target pose, float32 (18, 2)."""
        return self.editor.pose

    @property
    def labels(self) -> list[str]:
        """What `choices` are called."""
        labels, seen = [], Counter()
        for person in self.data.identities[self.choices].tolist():
            seen[person] += 1
            labels.append(f"person {person}, image {seen[person]}")
        return labels

    @property
    def shown_rows(self) -> tuple[str, ...]:
        return (self.row, self.second) if self.second else (self.row,)

    def pictures(self) -> list[Picture]:
        """Condition image, heatmaps and mask of the pose, and of each row shown what it painted:
        coarse, difference (of two-stage rows), refined."""
        maps, mask = self.encoded()
        shown = [
            Picture("condition", "Condition image", self.image),
            Picture("heatmaps", "Pose heatmaps", figures.colour_heatmaps(maps)),
            Picture("mask", "Pose mask", figures.gray_mask(mask)),
        ]
        for row in self.shown_rows:
            for what, image in self.painted(row).items():
                if image is not None:
                    shown.append(Picture(f"{what}:{row}", f"{row}, {what}", image))
        return shown

    def encoded(self):
        """The heatmaps (18, H, W) and the mask (H, W) of the pose, float32."""
        size = self.data.height, self.data.width
        batch = torch.from_numpy(self.pose)[None]
        maps = heatmaps.heatmaps(batch, *size, self.heatmap_radius)[0].numpy()
        mask = heatmaps.pose_mask(batch, *size, variant=self.mask_variant)[0, 0].numpy()
        return maps, mask

    def painted(self, row: str, pose=None) -> dict:
        """What a row makes of the condition image in a pose (the current one): "coarse",
        "difference" (None of a one-stage row) and "refined", as `generate.generate` gives them."""
        pose = self.pose if pose is None else np.asarray(pose, np.float32)
        key = row, self._version, pose.tobytes()
        if key not in self._kept:
            painter = self._painters[self._loaded(row)]
            with torch.inference_mode():
                self._kept[key] = generate.generate(painter, self.image, pose, self.device)
            if len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        self._kept.move_to_end(key)
        return self._kept[key]

    def snapshot(self):
        """The pictures as a matplotlib Figure, a line per row, for those who only read."""
        size = self.data.height, self.data.width
        scale = max(1, round(figures.CELL / size[1]))
        maps, mask = self.encoded()
        given = [
            self.image,
            figures.fine_skeleton(self.pose, *size, scale),
            figures.colour_heatmaps(maps),
            figures.gray_mask(mask),
        ]
        results = [self.painted(row) for row in self.shown_rows]
        staged = any(result["difference"] is not None for result in results)
        names = ["coarse", "difference", "refined"] if staged else ["refined"]
        titles = ["Condition image", "Target pose", "Heatmaps $P_B$", "Pose mask $M_B$"]
        titles += ["Coarse", "Difference map", "Refined"] if staged else ["Generated"]
        lines = [[self._cell(result, name) for name in names] for result in results]
        rows = [given + line for line in lines]
        labels = [figures.TITLES.get(row, row) for row in self.shown_rows]
        return figures.grid(rows, titles, labels, breaks=(len(given),))

    def _cell(self, result, name):
        """A picture of a row for `snapshot`: of one stage there is only what it painted."""
        two = result["difference"] is not None
        return result[name] if two or name == "refined" else np.full_like(self.image, 255)

    # ------------------------------------------------------------ condition image and rows

    def choose_condition(self, index: int):
        """Take an image of the data set, an index into `choices`, as condition image."""
        chosen = self._choice(index)
        self._show(self.data.images[chosen], index)

    def open_photo(self, content: bytes, name: str):
        """Take a photo, the bytes of an image file, as condition image, the whole of it."""
        with named_file(content, name) as path:
            image = photo.read_image(path)
        size = self.data.height, self.data.width
        framed, words = generate.condition_photo(image, size, where=name)
        self._show(framed, -1)
        self.message = f"{name}: {words.partition(';')[0]}."

    def choose_row(self, row: str):
        """Show a row."""
        self.row = self._loaded(row)
        if self.second == row:
            self.second = ""

    def choose_second(self, row: str):
        """Show another row beside the first one; "" for none."""
        self.second = self._loaded(row) if row and row != self.row else ""

    def _show(self, image, condition):
        self.image, self.condition = np.array(image), condition
        self._version += 1

    def _loaded(self, row):
        """The name of a row that can be chosen, its painter loaded."""
        if experiments.choose("row", row, self.rows) not in self._painters:
            self._painters[row] = self._painter(row)
        return row

    def _choice(self, index):
        if index not in range(len(self.choices)):
            raise UserError(f"there is no image {index}; choose from 0 to {len(self.choices) - 1}.")
        return self.choices[index]

    # ------------------------------------------------------------ poses

    def take(self, index: int):
        """Take the pose of an image of the data set, an index into `choices`."""
        self.editor.take(self.data.keypoints[self._choice(index)])

    def read_pose(self, text: str, name: str):
        """Take the pose of an OpenPose file, its text; what does not fit into the frame is made to
        fill it, see `generate.place`."""
        with named_file(text.encode(errors="replace"), name) as path:
            pose = read_openpose_json(path)
        size, done = (self.data.height, self.data.width), "taken as it is"
        pose = photo.check_pose(pose, name)
        if (pose > (size[1] - 1, size[0] - 1)).any():
            poses, done = generate.place(pose[None], size, where=name)
            pose = poses[0]
        self.editor.take(pose)
        self.message = f"{name}: {int(found(pose).sum())} of 18 joints, {done}."

    def pose_file(self) -> bytes:
        """The pose as an OpenPose file."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "pose.json"
            write_openpose_json(path, self.pose)
            return path.read_bytes()

    # ------------------------------------------------------------ timeline

    def add_key(self, name: str | None = None):
        """Add the pose to the end of the timeline."""
        self.set_timeline(self.timeline.add(self.pose, name))
        self.frame = len(self.timeline) - 1

    def remove_key(self, index: int):
        self.set_timeline(self.timeline.remove(index))

    def shift_key(self, index: int, by: int):
        """Put a key pose `by` places later."""
        self.set_timeline(self.timeline.shift(index, by))

    def load_key(self, index: int):
        """Take a key pose to go on from it."""
        self.editor.take(self.timeline.key(index).pose)
        self.frame, self.playing = self.timeline.place(index), False

    def clear_keys(self):
        self.set_timeline(replace(self.timeline, keys=()))

    def add_walk(self):
        """Fill the timeline with a walking cycle of the person whose pose is shown."""
        cycle = walk.cycle(self.data.height, self.data.width, like=self.pose)
        line = Timeline(between=0)
        for number, pose in enumerate(cycle, start=1):
            line = line.add(pose, f"walk {number}")
        self.set_timeline(line)
        self.message = f"A walking cycle of {len(cycle)} poses; press play."

    def set_between(self, count: int):
        """How many poses are put between two key poses."""
        self.set_timeline(replace(self.timeline, between=count))

    def set_timeline(self, timeline: Timeline):
        self.timeline, self.playing = timeline, False
        self.frame = min(self.frame, max(len(timeline) - 1, 0))

    def set_fps(self, fps: float):
        """Poses in a second, of the GIF as well."""
        sequence.check_rate(fps)
        self.fps = float(fps)

    def seek(self, frame: int):
        """Show a pose of the sequence; the first follows the last. No step of the editor."""
        poses = self.timeline.frames()
        self.frame = int(frame) % len(poses)
        self.editor.preview(poses[self.frame])

    def play(self):
        """Say that the sequence runs; whoever shows it asks for one `seek` after the other."""
        if len(self.timeline.frames()) < 2:
            raise UserError("one key pose does not move; add another one first.")
        self.playing = True

    def stop(self):
        self.playing = False

    def sequence_painted(self):
        """(poses (k, 18, 2), what the first row paints of each, uint8 (k, H, W, 3))."""
        poses = self.timeline.frames()
        return poses, np.stack([self.painted(self.row, pose)["refined"] for pose in poses])

    def gif(self) -> bytes:
        """The sequence as an endless GIF: condition image, pose, what the first row painted."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "sequence.gif"
            sequence.write_gif(path, self.image, *self.sequence_painted(), self.fps)
            return path.read_bytes()

    def strip(self) -> np.ndarray:
        """The sequence as Figure 1(c) shows it, see `sequence.figure1c`: uint8 (H, W, 3)."""
        return sequence.figure1c(self.image, *self.sequence_painted())


def of_study(study: pipeline.Study, row=None, second="") -> Studio:
    """A studio of the generators that ship (`demo`), or of a study's, each trained when it is
    first shown if it is not there."""
    rows = demo.rows() if demo.ships(study) else tuple(experiments.ROWS)
    if not rows:
        raise UserError("the generators that ship are not here; make them again with: make demo")
    stage = experiments.stage("G1-poseMaskLoss", study.dataset, study.profile)
    return Studio(
        demo.data(study),
        lambda name: demo.painter(study, name),
        rows,
        row,
        second,
        pipeline.mask_variant(study),
        stage.heatmap_radius,
        study.device or devices.default_device(),
    )


def facts(study: pipeline.Study, made_by: str, rows) -> dict:
    """What goes beside a figure, see `pipeline.facts`; of the generators that ship their files."""
    if not demo.ships(study):
        return pipeline.facts(study, made_by, rows)
    files = [demo.weights_file(row) for row in rows]
    stages = pipeline.stage_names(rows)
    return {
        "made_by": made_by,
        "dataset": study.dataset,
        "profile": study.profile,
        "seed": study.seed,
        "config": {
            name: experiments.stage(name, study.dataset, study.profile).as_dict() for name in stages
        },
        "inputs": {file.name: runs.sha256(file) for file in files},
    }


def opening(data):
    """The test pair whose images have the most joints, (condition, target): there every joint can
    be dragged, and what the target shows is mostly seen in the condition image."""
    pairs = data.test_pairs[:MOST_CHOICES]
    return pairs[found(data.keypoints[pairs]).sum((1, 2)).argmax()]


def choices(data) -> list[int]:
    """Test images with a whole torso, in the order of the data set; those of the test pairs that
    come first, if there are more than `MOST_CHOICES`."""
    first = opening(data).tolist()  # in any case
    order = list(dict.fromkeys(first + np.asarray(data.test_pairs).ravel().tolist()))
    whole = torso_found(data.keypoints[order])
    chosen = [index for index, good in zip(order, whole) if good or index in first]
    return sorted(chosen[:MOST_CHOICES])


@contextlib.contextmanager
def named_file(content: bytes, name: str):
    """A file with that content for a while; what is wrong with it is told under its own name."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "content"
        path.write_bytes(content)
        try:
            yield path
        except UserError as error:
            raise UserError(str(error).replace(str(path), name)) from None
