"""The pose studio without a user interface: a condition image, a pose to edit, generated images."""

import io
from dataclasses import replace
from functools import cache, lru_cache, partial
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch

from pg2lib import models
from pg2lib.apps.photo import generate, photo, sequence
from pg2lib.apps.photo import maps as photo_maps
from pg2lib.apps.pose_studio import background, walking
from pg2lib.apps.pose_studio.editor import Key, PoseEditor, Timeline
from pg2lib.core import devices
from pg2lib.core.config import require_in
from pg2lib.core.files import UserError
from pg2lib.data import framing, heatmaps
from pg2lib.data.keypoints import found, openpose_json, parse_json, parse_openpose, torso_found
from pg2lib.results import figures
from pg2lib.training import extras
from pg2lib.workflow import pipeline, shipped

CACHED = 128  # generated images kept, so that each frame of a looping sequence is generated once
MOST_CHOICES = 400  # images to choose from
BEHIND = 24  # poses of a sequence, evenly spaced, whose images give its background
FPS = 8.0


class Picture(NamedTuple):
    """A picture and its names for the front end ("mask", "refined:G1+G2+D") and for people."""

    name: str
    title: str
    image: np.ndarray  # uint8 (H, W, 3)


class Studio:
    """A condition image I_A, a target pose P_B being edited, a timeline, and one or two rows.

    Each method is one user action. Mistakes raise UserError and change nothing. Attributes to
    read: `data`, `rows` (available), `row`, `second` (a row or ""), `choices` (indices of
    data.images that can be the condition image or give a pose), `condition` (index into them, -1
    for a photo), `editor`, `timeline`, `frame` (of its sequence), `playing`, `fps`, `message`,
    `still` (see `hold_background`).
    """

    def __init__(self, data, load, rows, row=None, second="", device="cpu"):
        """data: Dataset, whose test pair `opening` is shown first. load: function row ->
        generate_fn, called when a row is first chosen."""
        self.data, self.rows, self.device = data, tuple(rows), device
        self._load, self._cached = cache(load), lru_cache(CACHED)(self._generate)
        self._behind, self.still, self._sought = lru_cache(2)(self._background), True, None
        self.row, self.second = "", ""
        first, target = opening(data)
        self.choices = choices(data)
        self.choose_condition(self.choices.index(first))
        self.choose_row(row or self.rows[-1])
        self.choose_second(second)
        self.editor = PoseEditor(data.keypoints[target], *self.size)
        self.timeline, self.frame, self.playing, self.fps = Timeline(), 0, False, FPS
        self.message = ""

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the frame."""
        return self.data.height, self.data.width

    @property
    def pose(self) -> np.ndarray:
        """The target pose, float32 (18, 2)."""
        return self.editor.pose

    @property
    def labels(self) -> list[str]:
        """A name for each of `choices`."""
        people = pd.Series(self.data.identities[self.choices])
        numbers = people.groupby(people).cumcount() + 1
        return [f"person {person}, image {number}" for person, number in zip(people, numbers)]

    @property
    def shown_rows(self) -> tuple[str, ...]:
        return (self.row, self.second) if self.second else (self.row,)

    def pictures(self) -> list[Picture]:
        """Condition image, heatmaps and mask of the pose, and the images that each row shown
        generates: coarse, difference (two-stage rows only), refined."""
        batch = torch.from_numpy(self.pose)[None]
        maps = heatmaps.heatmaps(batch, *self.size)[0].numpy()
        mask = heatmaps.pose_mask(batch, *self.size)[0, 0].numpy()
        return [
            Picture("condition", "Condition", self.image),
            Picture("heatmaps", "Heatmaps", figures.colour_heatmaps(maps)),
            Picture("mask", "Mask", figures.gray_mask(mask)),
        ] + [
            Picture(f"{part}:{row}", f"{row}, {part}", image)
            for row in self.shown_rows
            for part, image in self._shown(row).items()
        ]

    def generated(self, row: str, pose=None) -> dict:
        """Output of `generate.generate` for the condition image and a pose (default: the current
        one)."""
        pose = self.pose if pose is None else np.asarray(pose, np.float32)
        return self._cached(row, pose.tobytes())

    def _shown(self, row):
        """`generated` for the current pose; for one of the sequence with the sequence's background,
        if that is held still."""
        parts, pose = self.generated(row), self.pose
        sought = self._sought is not None and np.array_equal(pose, self._sought)
        if not (self.still and sought and len(self.timeline) > 1):
            return parts
        return parts | {"refined": self._held(row, pose[None], parts["refined"][None])[0]}

    def _held(self, row, poses, images):
        """Images of a row (k, H, W, 3) in front of the background of the whole sequence."""
        return background.put(images, poses, self._behind(row, self.timeline.frames().tobytes()))

    def _background(self, row, poses):
        poses = np.frombuffer(poses, np.float32).reshape(-1, 18, 2)
        chosen = np.linspace(0, len(poses) - 1, min(BEHIND, len(poses))).round().astype(int)
        return background.behind(self._refined(row, poses[chosen]), poses[chosen])

    def _refined(self, row, poses):
        return np.stack([self.generated(row, pose)["refined"] for pose in poses])

    def _generate(self, row, pose):
        pose = np.frombuffer(pose, np.float32).reshape(18, 2).copy()
        given = self.image, pose, self.device, self.condition_pose
        with torch.inference_mode():
            return generate.generate(self._loaded(row), *given)

    def snapshot(self):
        """The pictures as a matplotlib Figure, a line per row."""
        shown = {picture.name: picture.image for picture in self.pictures()}
        pose = figures.fine_skeleton(self.pose, *self.size)
        given = [shown["condition"], pose, shown["heatmaps"], shown["mask"]]
        names = list(max(map(self.generated, self.shown_rows), key=len))  # the row with most parts
        blank, rows = np.full_like(self.image, 255), self.shown_rows
        lines = [given + [shown.get(f"{name}:{row}", blank) for name in names] for row in rows]
        titles = ["Condition image", "Target pose", "Heatmaps $P_B$", "Pose mask $M_B$"]
        named = {"difference": "Difference map"} if len(names) > 1 else {"refined": "Generated"}
        titles += [named.get(name, name.capitalize()) for name in names]
        return figures.grid(lines, titles, list(map(figures.title, rows)), breaks=(len(given),))

    # --- condition image and rows ---------------------------------------------------------------

    def choose_condition(self, index: int):
        """Use an image of the data set, an index into `choices`, as condition image."""
        chosen = self._choice(index)
        self._set_image(self.data.images[chosen], index, self.data.keypoints[chosen])

    def open_photo(self, content: bytes, name: str, crop=None):
        """Use a photo, the bytes of an image file, as condition image: all of it, padded, or the
        part (left, top, height) in its pixels, as wide as the frame's shape asks."""
        image = framing.read_image(io.BytesIO(content), name)
        window = crop and framing.Window(*crop[:2], crop[2] * self.size[1] / self.size[0], crop[2])
        if window and window.width < photo.SMALLEST - 1:
            raise UserError(f"{name}: a crop of {crop[2]:g} pixels is too small; zoom out.")
        framed, pose, about = generate.condition_photo(
            image, self.size, where=name, window=window or None
        )
        self._set_image(framed, -1, pose)
        self.message = f"{name}: {about.partition(';')[0]}."

    def choose_row(self, row: str):
        """Show a row."""
        self._check_pose(self.condition_pose, row)
        self._loaded(row)
        self.row = row
        if self.second == row:
            self.second = ""

    def choose_second(self, row: str):
        """Show another row beside the first one; "" for none."""
        row = "" if row == self.row else row
        if row:
            self._check_pose(self.condition_pose, row)
            self._loaded(row)
        self.second = row

    def _check_pose(self, pose, *rows):
        """UserError if one of the rows paints from the pose in the condition image, and that is
        None, unknown."""
        for row in rows:
            method = models.METHODS.get(row)
            if pose is None and method and "condition_pose" in method.needs:
                raise UserError(
                    f"{row} needs the pose of the person in the photo, which is not known; choose "
                    "an image of the data set, or another row"
                )

    def _set_image(self, image, condition, pose):
        self._check_pose(pose, *self.shown_rows)
        self.image, self.condition, self.condition_pose = np.array(image), condition, pose
        self._cached.cache_clear()
        self._behind.cache_clear()

    def _loaded(self, row):
        """The generator of an available row, loaded once."""
        return self._load(require_in("row", row, self.rows))

    def _choice(self, index):
        if index not in range(len(self.choices)):
            raise UserError(f"there is no image {index}; choose from 0 to {len(self.choices) - 1}.")
        return self.choices[index]

    # --- poses ----------------------------------------------------------------------------------

    def take(self, index: int):
        """Use the pose of an image of the data set, an index into `choices`."""
        self.editor.take(self.data.keypoints[self._choice(index)])

    def read_pose(self, text: str, name: str):
        """Use the pose in the text of an OpenPose file, scaled if it exceeds the frame."""
        pose, about = parse_openpose(parse_json(text, name), name), "unchanged"
        framing.check_pose(pose, name)
        if (pose > (self.data.width - 1, self.data.height - 1)).any():
            (pose,), about = generate.place(pose[None], self.size, where=name)
        self.editor.take(pose)
        self.message = f"{name}: {int(found(pose).sum())} of 18 joints, {about}."

    def pose_file(self) -> bytes:
        """The pose as an OpenPose file."""
        return openpose_json(self.pose).encode()

    # --- timeline -------------------------------------------------------------------------------

    def add_key(self, name: str | None = None):
        """Add the pose to the end of the timeline."""
        self.set_timeline(self.timeline.add(self.pose, name))
        self.frame = len(self.timeline) - 1

    def remove_key(self, index: int):
        self.set_timeline(self.timeline.remove(index))

    def shift_key(self, index: int, by: int):
        """Move a key pose `by` positions later."""
        self.set_timeline(self.timeline.shift(index, by))

    def load_key(self, index: int):
        """Edit a copy of a key pose."""
        self.editor.take(self.timeline.key(index).pose)
        self.frame, self.playing = index * (self.timeline.between + 1), False
        self._sought = None

    def clear_keys(self):
        self.set_timeline(replace(self.timeline, keys=()))

    def add_walk(self):
        """Fill the timeline with a walking cycle of the person whose pose is shown."""
        cycle = walking.cycle(*self.size, like=self.pose)
        keys = tuple(Key(f"walk {number}", pose) for number, pose in enumerate(cycle, start=1))
        self.set_timeline(Timeline(keys, between=0))
        self.message = f"A walking cycle of {len(cycle)} poses; press Play."

    def set_between(self, count: int):
        """Set the number of poses between two key poses."""
        self.set_timeline(replace(self.timeline, between=count))

    def set_timeline(self, timeline: Timeline):
        self.timeline, self.playing = timeline, False
        self.frame = min(self.frame, max(len(timeline) - 1, 0))

    def set_fps(self, fps: float):
        """Set the frame rate, also of the GIF."""
        sequence.check_rate(fps)
        self.fps = float(fps)

    def seek(self, frame: int):
        """Show a pose of the sequence (modulo its length) without adding an undo step."""
        poses = self.timeline.frames()
        self.frame = int(frame) % len(poses)
        self.editor.preview(poses[self.frame])
        self._sought = self.pose

    def play(self):
        """Mark the sequence as playing; the front end then calls `seek` for each frame."""
        if len(self.timeline.frames()) < 2:
            raise UserError("one key pose does not move; add another one first.")
        self.playing = True

    def stop(self):
        self.playing = False

    def hold_background(self, still: bool):
        """Whether all images of the sequence have one background, their mean outside the person,
        with each pose's person cut out by its pose mask; or each is as the network made it."""
        self.still = bool(still)

    def generated_sequence(self):
        """(poses (k, 18, 2), the images that the first row generates, uint8 (k, H, W, 3))."""
        poses = self.timeline.frames()
        images = self._refined(self.row, poses)
        return poses, self._held(self.row, poses, images) if self.still else images

    def gif(self) -> bytes:
        """The sequence as an endless GIF: condition image, pose, image of the first row."""
        return sequence.gif(self.image, *self.generated_sequence(), self.fps)

    def strip(self) -> np.ndarray:
        """The sequence as in Figure 1(c), see `sequence.figure1c`: uint8 (H, W, 3)."""
        return sequence.figure1c(self.image, *self.generated_sequence())


def of_study(study: pipeline.Study, row=None, second="") -> Studio:
    """A studio with the bundled generators, or a study's; a missing row is trained when shown. A
    second row of Table 1 that is not bundled gives way to the first that is."""
    rows = shipped.rows(study.dataset) if shipped.ships(study) else models.rows()
    if not rows:
        raise UserError("the bundled generators are missing; make them again with: make demo")
    row = row or rows[-1]
    if second in models.rows() and second not in rows:
        second = rows[0]
    if not shipped.ships(study):
        rows = tuple(dict.fromkeys((*rows, *models.successors())))
    load, device = partial(_painter, study), study.device or devices.default_device()
    return Studio(shipped.data(study), load, rows, row, second, device=device)


def _painter(study, row):
    """The row of a study as a function Inputs -> Output, with the parsing maps that it needs."""
    paint, method = shipped.generate_fn(study, row), models.find(row)
    if not extras.names(method):
        return paint
    labels = pipeline.method_config(study, row).labels
    return photo_maps.with_known_maps(paint, method, labels, pipeline.row_data(study, row))


facts = shipped.facts


def opening(data):
    """The test pair, (condition, target), whose images show the most joints."""
    pairs = data.test_pairs[:MOST_CHOICES]
    return pairs[found(data.keypoints[pairs]).sum((1, 2)).argmax()]


def choices(data) -> list[int]:
    """Test images with a whole torso, and those of `opening`, in the order of the data set; at most
    `MOST_CHOICES`, those of the first test pairs."""
    first = opening(data).tolist()
    order = dict.fromkeys(first + np.asarray(data.test_pairs).ravel().tolist())
    chosen = [index for index in order if index in first or torso_found(data.keypoints[index])]
    return sorted(chosen[:MOST_CHOICES])
