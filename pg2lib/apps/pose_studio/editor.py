"""Editing one pose by hand, step by step, and a row of key poses in time.

`PoseEditor` is what a pose canvas stands on: joints are moved, hidden and shown, the pose is
mirrored or replaced, and every step can be undone. `Timeline` keeps key poses; `sequence` puts the
poses between them. Neither knows anything of a screen.
"""

from collections import deque
from dataclasses import dataclass, replace

import numpy as np

from pg2lib.apps.photo import sequence
from pg2lib.apps.pose_studio import walking
from pg2lib.core.files import UserError
from pg2lib.data.keypoints import JOINTS, LIMBS, SWAP, flip_keypoints, found

STEPS = 200  # that can be undone
MOST_FRAMES, MOST_BETWEEN = 600, 100  # of a timeline, and of two key poses


# ---------------------------------------------------------------- one pose


@dataclass(frozen=True, eq=False)
class Step:
    """A pose in the making: where each joint is, or was before it was hidden."""

    places: np.ndarray  # float32 (18, 2); (-1, -1) for a joint that never was anywhere
    shown: np.ndarray  # bool (18,)
    start: np.ndarray  # float32 (18, 2): the pose that `PoseEditor.reset` goes back to

    @property
    def pose(self) -> np.ndarray:
        return np.where(self.shown[:, None], self.places, np.float32(-1))

    def same(self, other) -> bool:
        return np.array_equal(self.pose, other.pose) and np.array_equal(self.start, other.start)


class PoseEditor:
    """One pose in a frame of height x width pixels.

    Joints stay in the frame: x from 0 to width - 1, y from 0 to height - 1. Of the edits, `move`
    and `preview` only show what a pose would be like; the others are steps that `undo` takes back,
    the last `STEPS` of them.
    """

    def __init__(self, pose, height: int, width: int):
        """pose: (18, 2), missing (-1, -1); a joint outside the frame comes to its border."""
        self.height, self.width = height, width
        first = self._clipped(pose)
        self._steps, self._at = [Step(first, found(first), first)], 0
        self._now = self._steps[0]  # differs from the last step while a joint is dragged

    @property
    def pose(self) -> np.ndarray:
        """float32 (18, 2), missing and hidden joints (-1, -1); a copy."""
        return self._now.pose

    @property
    def can_undo(self) -> bool:
        return self._at > 0 or not self._now.same(self._steps[self._at])

    @property
    def can_redo(self) -> bool:
        return self._at + 1 < len(self._steps)

    def move(self, joint: int, x: float, y: float):
        """Put a joint somewhere while it is dragged: no step of its own. A hidden one is shown.

        Raises:
            UserError: no such joint, or no finite place.
        """
        self._now = self._moved(joint, x, y)

    def drop(self, joint: int, x: float, y: float):
        """Put a joint somewhere for good: one step, however many moves led there."""
        self._do(self._moved(joint, x, y))

    def hide(self, joint: int):
        """Make a joint missing, as one that no detector found; `show` brings it back."""
        self._do(self._with(self._checked(joint), False))

    def show(self, joint: int):
        """Show a joint where it last was, or where `guess` puts one that never was anywhere."""
        places = self._now.places.copy()
        if not found(places[self._checked(joint)]):
            places[joint] = self._clipped(guess(self.pose, joint, self.height, self.width))
        self._do(replace(self._with(joint, True), places=places))

    def mirror(self):
        """Mirror the pose at the frame's middle; left becomes right."""
        places = flip_keypoints(self._now.places, self.width)
        self._do(replace(self._now, places=places, shown=self._now.shown[list(SWAP)]))

    def take(self, pose):
        """Replace the pose by another one, (18, 2) in this frame; `reset` goes back to it."""
        pose = self._clipped(pose)
        self._do(Step(pose, found(pose), pose))

    def preview(self, pose):
        """Show another pose, as that of a moving sequence, without a step of its own."""
        pose = self._clipped(pose)
        self._now = Step(pose, found(pose), self._now.start)

    def reset(self):
        """Go back to the pose that was taken last, or the first one; a step like the others."""
        start = self._now.start
        self._do(Step(start, found(start), start))

    def undo(self):
        """Take back what is being dragged or the last step; nothing if there is none."""
        if self._now.same(self._steps[self._at]):
            self._at = max(self._at - 1, 0)
        self._now = self._steps[self._at]

    def redo(self):
        """Do again what `undo` took back; nothing if there is none."""
        self._at = min(self._at + 1, len(self._steps) - 1)
        self._now = self._steps[self._at]

    def _do(self, step: Step):
        self._now = step
        if not step.same(self._steps[self._at]):
            self._steps = [*self._steps[: self._at + 1], step][-(STEPS + 1) :]
            self._at = len(self._steps) - 1

    def _moved(self, joint, x, y) -> Step:
        if not np.isfinite((x, y)).all():
            raise UserError(f"a joint cannot go to ({x}, {y}); name a place in the frame.")
        step = self._with(self._checked(joint), True)
        step.places[joint] = np.clip((x, y), 0, (self.width - 1, self.height - 1))
        return step

    def _with(self, joint, shown: bool) -> Step:
        """A copy of what is there with one joint shown or hidden."""
        flags = self._now.shown.copy()
        flags[joint] = shown
        return replace(self._now, places=self._now.places.copy(), shown=flags)

    def _clipped(self, pose) -> np.ndarray:
        pose = np.asarray(pose, np.float32)
        inside = pose.clip(0, np.float32((self.width - 1, self.height - 1)))
        return np.where(found(pose)[..., None], inside, np.float32(-1))

    @staticmethod
    def _checked(joint) -> int:
        if joint not in range(len(JOINTS)):
            raise UserError(f"there is no joint {joint}; choose from 0 to {len(JOINTS) - 1}.")
        return joint


def guess(pose, joint: int, height: int, width: int) -> np.ndarray:
    """Where a missing joint would be, (2,): as far from the nearest joint along the limbs that is
    there as on somebody who stands, in the size and seen from the side (front or back) of the
    others; without any other joint, in the frame as somebody who fills it."""
    standing, here = walking.standing(height, width), found(pose)
    near = next((k for k in neighbours(joint) if here[k]), None)
    if near is None:
        return standing[joint]
    scale = np.ones(2)
    for axis in (0, 1):
        apart = standing[here, axis] - standing[here, axis].mean()
        if (apart**2).sum() > 1:
            scale[axis] = apart @ (pose[here, axis]) / (apart**2).sum()
    scale[1] = abs(scale[1]) or 1
    return pose[near] + scale * (standing[joint] - standing[near])


def neighbours(joint: int) -> list[int]:
    """The other joints, those that fewer limbs are between first."""
    order, queue = [], deque([joint])
    while queue:
        at = queue.popleft()
        ends = [b if a == at else a for a, b in LIMBS if at in (a, b)]
        new = [end for end in ends if end != joint and end not in order]
        order += new
        queue += new
    return order


# ---------------------------------------------------------------- poses in time


@dataclass(frozen=True, eq=False)
class Key:
    """A key pose: (18, 2) and its name."""

    name: str
    pose: np.ndarray


@dataclass(frozen=True, eq=False)
class Timeline:
    """Key poses in order, with `between` more poses from each to the next.

    It never changes: what edits it returns the edited one. UserError for a place that is not
    there and for more poses than `MOST_FRAMES`, or `MOST_BETWEEN` in between.
    """

    keys: tuple[Key, ...] = ()
    between: int = 3

    def __post_init__(self):
        if self.between not in range(MOST_BETWEEN + 1):
            raise UserError(
                f"{self.between} poses cannot be put between two; choose from 0 to {MOST_BETWEEN}."
            )
        if len(self) > MOST_FRAMES:
            raise UserError(
                f"{len(self.keys)} key poses with {self.between} in between are {len(self)} poses; "
                f"choose at most {MOST_FRAMES}."
            )

    def __len__(self) -> int:
        """How many poses `frames` has."""
        return max(0, (len(self.keys) - 1) * (self.between + 1) + 1) if self.keys else 0

    def frames(self) -> np.ndarray:
        """All poses, float32 (k, 18, 2), by `sequence.in_between`; UserError if there is none."""
        if not self.keys:
            raise UserError("the timeline is empty; add a key pose or the walking cycle first.")
        return sequence.in_between([key.pose for key in self.keys], self.between)

    def add(self, pose, name: str | None = None):
        """With a pose (18, 2) at the end; without a name it gets a number that is free."""
        taken = {key.name for key in self.keys}
        numbers = (f"pose {k}" for k in range(1, len(taken) + 2))
        name = name or next(name for name in numbers if name not in taken)
        return replace(self, keys=(*self.keys, Key(name, np.array(pose, np.float32))))

    def remove(self, index: int):
        """Without a key pose."""
        self.key(index)
        return replace(self, keys=(*self.keys[:index], *self.keys[index + 1 :]))

    def shift(self, index: int, by: int):
        """With a key pose `by` places later; at either end it stays there."""
        keys = list(self.keys)
        key = self.key(index)
        keys.remove(key)
        keys.insert(max(index + by, 0), key)
        return replace(self, keys=tuple(keys))

    def key(self, index: int) -> Key:
        if index not in range(len(self.keys)):
            raise UserError(f"the timeline has no key pose {index}; it has {len(self.keys)}.")
        return self.keys[index]

    def place(self, index: int) -> int:
        """Which of `frames` a key pose is."""
        self.key(index)
        return index * (self.between + 1)
