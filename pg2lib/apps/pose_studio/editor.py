"""Editing a pose step by step (`PoseEditor`), and a `Timeline` of key poses."""

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from pg2lib.apps.photo import sequence
from pg2lib.apps.pose_studio import walking
from pg2lib.core.files import UserError
from pg2lib.data.keypoints import JOINTS, LIMBS, SWAP, flip_keypoints, found

STEPS = 200  # that can be undone
MOST_FRAMES, MOST_BETWEEN = 600, 100  # poses of a timeline, and between two key poses


@dataclass(frozen=True, eq=False)
class State:
    """A pose being edited, with the last positions of hidden joints."""

    places: np.ndarray  # float32 (18, 2); (-1, -1) for a joint that never had a place
    shown: np.ndarray  # bool (18,)
    start: np.ndarray  # float32 (18, 2): the pose that `PoseEditor.reset` returns to

    @property
    def pose(self) -> np.ndarray:
        return np.where(self.shown[:, None], self.places, np.float32(-1))

    def same(self, other) -> bool:
        return np.array_equal(self.pose, other.pose) and np.array_equal(self.start, other.start)


class PoseEditor:
    """One pose in a frame of height x width pixels, which its joints do not leave.

    `move` and `preview` show a pose without recording it; every other edit is a step that `undo`
    takes back, up to the last `STEPS`.
    """

    def __init__(self, pose, height: int, width: int):
        """pose: (18, 2), missing (-1, -1); joints outside the frame are moved to its border."""
        self.height, self.width = height, width
        first = self._clipped(pose)
        self._steps, self._at = [State(first, found(first), first)], 0
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
        """Move a joint during a drag, without recording a step; shows a hidden joint."""
        state = self._with(joint, True)
        if not np.isfinite((x, y)).all():
            raise UserError(f"a joint cannot move to ({x}, {y}); name a place in the frame.")
        state.places[joint] = np.clip((x, y), 0, (self.width - 1, self.height - 1))
        self._now = state

    def drop(self, joint: int, x: float, y: float):
        """Move a joint and record one step, also for the moves before."""
        self.move(joint, x, y)
        self._do(self._now)

    def hide(self, joint: int):
        """Make a joint missing, like one that no detector found; `show` brings it back."""
        self._do(self._with(joint, False))

    def show(self, joint: int):
        """Show a joint at its last place, or where `guess` puts one that never had a place."""
        state = self._with(joint, True)
        if not found(state.places[joint]):
            state.places[joint] = self._clipped(guess(self.pose, joint, self.height, self.width))
        self._do(state)

    def mirror(self):
        """Mirror the pose at the middle of the frame; left becomes right."""
        places = flip_keypoints(self._now.places, self.width)
        self._do(replace(self._now, places=places, shown=self._now.shown[list(SWAP)]))

    def take(self, pose):
        """Replace the pose by another, (18, 2) in this frame; `reset` then returns to it."""
        self.preview(pose)
        self._do(replace(self._now, start=self._now.places))

    def preview(self, pose):
        """Show another pose, for example a frame of a sequence, without recording a step."""
        pose = self._clipped(pose)
        self._now = State(pose, found(pose), self._now.start)

    def reset(self):
        """Return to the pose taken last, or to the first one; this is a step, too."""
        self.take(self._now.start)

    def undo(self):
        """Take back the current drag or the last step, if any."""
        if self._now.same(self._steps[self._at]):
            self._at = max(self._at - 1, 0)
        self._now = self._steps[self._at]

    def redo(self):
        """Repeat the step undone last, if any."""
        self._at = min(self._at + 1, len(self._steps) - 1)
        self._now = self._steps[self._at]

    def _do(self, state: State):
        self._now = state
        if not state.same(self._steps[self._at]):
            self._steps = [*self._steps[: self._at + 1], state][-(STEPS + 1) :]
            self._at = len(self._steps) - 1

    def _with(self, joint, shown: bool) -> State:
        """A copy of the current state with one joint shown or hidden."""
        if joint not in range(len(JOINTS)):
            raise UserError(f"there is no joint {joint}; choose from 0 to {len(JOINTS) - 1}.")
        state = replace(self._now, places=self._now.places.copy(), shown=self._now.shown.copy())
        state.shown[joint] = shown
        return state

    def _clipped(self, pose) -> np.ndarray:
        pose = np.asarray(pose, np.float32)
        inside = pose.clip(0, np.float32((self.width - 1, self.height - 1)))
        return np.where(found(pose)[..., None], inside, np.float32(-1))


def guess(pose, joint: int, height: int, width: int) -> np.ndarray:
    """A plausible place (2,) for a missing joint: offset from its nearest found neighbour as in a
    standing person of the same size, seen from the same side (front or back)."""
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
    """The other joints, ordered by the number of limbs in between."""
    order = [joint]
    for at in order:  # which grows
        ends = [a + b - at for a, b in LIMBS if at in (a, b)]
        order += [end for end in ends if end not in order]
    return order[1:]


class Key(NamedTuple):
    """A key pose of a timeline."""

    name: str
    pose: np.ndarray  # float32 (18, 2)


@dataclass(frozen=True, eq=False)
class Timeline:
    """Key poses in order, with `between` poses from each to the next; edits return a new timeline.
    UserError for a key pose that does not exist, and for too many poses."""

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
        """The number of poses in `frames`."""
        return (len(self.keys) - 1) * (self.between + 1) + 1 if self.keys else 0

    def frames(self) -> np.ndarray:
        """All poses, float32 (k, 18, 2), see `sequence.in_between`. UserError if there is none."""
        if not self.keys:
            raise UserError("the timeline is empty; add a key pose or the walking cycle first.")
        return sequence.in_between([key.pose for key in self.keys], self.between)

    def add(self, pose, name: str | None = None):
        """The timeline with a pose (18, 2) at the end; the default name is the next free number."""
        taken = {key.name for key in self.keys}
        numbers = (f"pose {k}" for k in range(1, len(taken) + 2))
        name = name or next(name for name in numbers if name not in taken)
        return replace(self, keys=(*self.keys, Key(name, np.array(pose, np.float32))))

    def remove(self, index: int):
        """The timeline without a key pose."""
        self.key(index)
        return replace(self, keys=(*self.keys[:index], *self.keys[index + 1 :]))

    def shift(self, index: int, by: int):
        """The timeline with a key pose `by` positions later, or at the end it would go beyond."""
        keys, key = list(self.remove(index).keys), self.key(index)
        keys.insert(max(index + by, 0), key)
        return replace(self, keys=tuple(keys))

    def key(self, index: int) -> Key:
        if index not in range(len(self.keys)):
            raise UserError(f"the timeline has no key pose {index}; it has {len(self.keys)}.")
        return self.keys[index]
