"""A sequence of poses, as Figure 1(c) of the paper paints it: reading, and strip and GIF of it.

A sequence is a folder with one OpenPose JSON file per frame, in the order of their names (what
OpenPose writes), or one JSON file: {"frames": [...]} or just the list, each frame an OpenPose
object {"people": [...]}.
"""

import json
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from pg2lib.apps.photo.photo import FEWEST_JOINTS, check_pose
from pg2lib.core.files import UserError, write_atomically
from pg2lib.data.keypoints import found, read_openpose_json
from pg2lib.results.figures import fine_skeleton

LONGEST_GAP = 5  # frames over which a lost joint is guessed
STRIP = 8  # poses in the strip at most
CELL = 128  # about how wide, in dots, a picture is shown
GAP = 6  # dots between pictures


# ---------------------------------------------------------------- reading


def is_sequence(path) -> bool:
    """Whether a path is a folder, or a JSON file that holds several frames, not a single pose."""
    if Path(path).is_dir():
        return True
    content = content_of(path)
    return isinstance(content, list) or (isinstance(content, dict) and "frames" in content)


def content_of(path):
    """A parsed JSON file; None for what is no such file: whoever reads it next tells why."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8-sig"))
    except (OSError, ValueError):
        return None


def read_sequence(path):
    """(poses, what was done to them in words): float32 (k, 18, 2), at least 2.

    Of several people in a frame the most confident one counts. A joint that is lost for up to
    `LONGEST_GAP` frames is put between where it was before and after (`fill_gaps`); a frame in
    which still too few joints are found, or nobody, is left out.

    Raises:
        UserError: no frames, fewer than 2 with a person, or a frame that is no OpenPose object.
    """
    path = Path(path)
    if path.is_dir():
        files = sorted(file for file in path.iterdir() if file.suffix.lower() == ".json")
        if not files:
            raise UserError(f"{path} holds no .json file; a sequence is one OpenPose JSON a frame")
        poses = [read_frame(file) for file in files]
    else:
        poses = read_frames(path)
    filled = fill_gaps(np.array(poses, np.float32).reshape(-1, 18, 2))
    whole = filled[found(filled).sum(-1) >= FEWEST_JOINTS]
    if len(whole) < 2:
        raise UserError(
            f"{path} holds {len(whole)} frames with at least {FEWEST_JOINTS} of 18 joints; a "
            "sequence needs 2, a single pose is a file of its own"
        )
    for pose in whole:
        check_pose(pose, path)
    done = [f"{len(poses)} frames"]
    if guessed := int(found(filled).sum()) - sum(int(found(pose).sum()) for pose in poses):
        done.append(f"lost joints put between their neighbours in time: {guessed}")
    if len(whole) < len(poses):
        done.append(f"frames without a person left out: {len(poses) - len(whole)}")
    return whole, ", ".join(done)


def read_frames(path) -> list:
    """The poses (18, 2) of one JSON file with several frames; UserError that names the frame."""
    content = content_of(path)
    frames = content.get("frames") if isinstance(content, dict) else content
    if not isinstance(frames, list):
        raise UserError(
            f'{path} is no sequence; write {{"frames": [...]}} with an OpenPose object a frame'
        )
    poses = []
    with tempfile.TemporaryDirectory() as folder:  # `read_openpose_json` takes files alone
        for number, frame in enumerate(frames):
            file = Path(folder) / f"{number}.json"
            file.write_text(json.dumps(frame), encoding="utf-8")
            try:
                poses.append(read_frame(file))
            except UserError as error:
                words = str(error).replace(str(file), f"{path}, frame {number}")
                raise UserError(words) from None
    return poses


def read_frame(file) -> np.ndarray:
    """The pose (18, 2) in an OpenPose file, all joints missing where it holds nobody."""
    content = content_of(file)
    if isinstance(content, dict) and content.get("people") == []:
        return np.full((18, 2), -1, np.float32)
    return read_openpose_json(file)


def fill_gaps(poses, longest: int = LONGEST_GAP) -> np.ndarray:
    """Poses (k, 18, 2) with joints that are missing in up to `longest` frames in a row put on the
    line between where they are before and after; longer gaps and both ends stay."""
    filled = np.array(poses, np.float32)
    for joint in range(filled.shape[1]):
        known = np.flatnonzero(found(filled[:, joint]))
        for before, after in zip(known, known[1:]):
            if 1 < after - before <= longest + 1:
                share = (np.arange(before + 1, after) - before)[:, None] / (after - before)
                ends = filled[before, joint], filled[after, joint]
                filled[before + 1 : after, joint] = ends[0] + share * (ends[1] - ends[0])
    return filled


def check_count(count: int):
    """UserError for a number of poses that nobody can want between two."""
    if not 0 <= count <= 100:
        raise UserError(f"--between {count} is no number of poses; choose from 0 to 100")


def in_between(poses, count: int) -> np.ndarray:
    """Poses (k, 18, 2) with `count` more between each two, on the straight line from one to the
    other; a joint that one of the two lacks is missing there."""
    frames = []
    for start, end in zip(poses, poses[1:]):
        both = (found(start) & found(end))[:, None]
        frames.append(start)
        for step in range(1, count + 1):
            share = step / (count + 1)
            frames.append(np.where(both, start + share * (end - start), -1))
    return np.array([*frames, poses[-1]], np.float32)


# ---------------------------------------------------------------- showing


def enlarged(image, factor: int) -> np.ndarray:
    """Each pixel of an image (H, W, 3) as factor x factor of them."""
    return np.asarray(image).repeat(factor, 0).repeat(factor, 1)


def paste_rows(rows) -> np.ndarray:
    """Pictures of one size in rows on white, uint8; None leaves a place empty."""
    shape = next(picture.shape for row in rows for picture in row if picture is not None)
    high, wide = shape[0] + GAP, shape[1] + GAP
    longest = max(map(len, rows))
    sheet = np.full((len(rows) * high + GAP, longest * wide + GAP, 3), 255, np.uint8)
    for r, row in enumerate(rows):
        for c, picture in enumerate(row):
            if picture is not None:
                top, left = r * high + GAP, c * wide + GAP
                sheet[top : top + shape[0], left : left + shape[1]] = picture
    return sheet


def shown(condition, poses, results):
    """(condition, skeletons, results) enlarged by the same whole factor, for people to look at."""
    height, width = condition.shape[:2]
    factor = max(1, round(CELL / width))
    skeletons = [fine_skeleton(pose, height, width, factor) for pose in poses]
    return enlarged(condition, factor), skeletons, [enlarged(r, factor) for r in results]


def figure1c(condition, poses, results) -> np.ndarray:
    """Figure 1(c): the condition image, then target poses above and what was painted below.

    condition and results uint8 (H, W, 3), poses (18, 2); of more than `STRIP` poses as many,
    evenly spread over time.
    """
    chosen = np.linspace(0, len(poses) - 1, min(STRIP, len(poses))).round().astype(int)
    first, skeletons, painted = shown(
        condition, [poses[k] for k in chosen], [results[k] for k in chosen]
    )
    return paste_rows([[None, *skeletons], [first, *painted]])


def check_rate(fps: float):
    """UserError for a rate that viewers do not show: a GIF's clock ticks in 1/100 s."""
    if not 0.1 <= fps <= 50:
        raise UserError(f"--fps {fps:g} is not to be had in a GIF; choose from 0.1 to 50")


def write_gif(path, condition, poses, results, fps: float = 8.0):
    """An endless GIF: condition image, target pose, result."""
    first, skeletons, painted = shown(condition, poses, results)
    frames = [
        Image.fromarray(paste_rows([[first, pose, result]])).quantize(255, dither=0)
        for pose, result in zip(skeletons, painted, strict=True)
    ]
    with write_atomically(path) as temporary:
        frames[0].save(
            temporary,
            save_all=True,
            append_images=frames[1:],
            duration=round(100 / fps) * 10,
            loop=0,
        )
