"""A sequence of poses, as in Figure 1(c) of the paper: reading it, and its strip and GIF.

It is a folder with one OpenPose JSON file per frame, in the order of their names, or one JSON file:
{"frames": [...]} or just the list, each frame an OpenPose object {"people": [...]}.
"""

import io
from pathlib import Path

import numpy as np
from PIL import Image

from pg2lib.core.files import UserError
from pg2lib.data.framing import FEWEST_JOINTS, check_pose
from pg2lib.data.keypoints import found, nobody, parse_openpose, read_json
from pg2lib.results.figures import cell_scale, enlarged, fine_skeleton

LONGEST_GAP = 5  # frames over which a missing joint is interpolated
STRIP = 8  # most poses in a strip
GAP = 6  # dots between pictures


def is_sequence(path) -> bool:
    """Whether a path is a folder or a JSON file of several frames, rather than a single pose."""
    path = Path(path)
    if path.suffix.lower() != ".json" or path.is_dir():
        return path.is_dir()
    try:
        content = read_json(path)
    except UserError:
        return False  # reported when the pose is read
    if isinstance(content, dict):
        return "frames" in content
    if not isinstance(content, list):
        return False
    # MMPose lists the people of one image, each with its keypoints, as others list frames.
    return not any(isinstance(each, dict) and "keypoints" in each for each in content)


def read_sequence(path):
    """(poses float32 (k, 18, 2), description of what was done to them), k at least 2.

    Gaps are filled (`fill_gaps`), frames with too few joints left out. UserError for fewer than 2
    frames with a person, or a frame that is not OpenPose output.
    """
    frames = frames_of(Path(path))
    poses = np.full((len(frames), 18, 2), -1, np.float32)
    for pose, (where, content) in zip(poses, frames.items()):
        if not nobody(content):
            pose[:] = parse_openpose(content, where)
    filled = fill_gaps(poses)
    whole = filled[found(filled).sum(-1) >= FEWEST_JOINTS]
    if len(whole) < 2:
        raise UserError(
            f"{path} holds {len(whole)} frames with at least {FEWEST_JOINTS} of 18 joints; a "
            "sequence needs 2; give a single pose as a file of its own"
        )
    for pose in whole:
        check_pose(pose, path)
    done = [f"{len(poses)} frames"]
    if guessed := found(filled).sum() - found(poses).sum():
        done.append(f"missing joints interpolated: {guessed}")
    if len(whole) < len(poses):
        done.append(f"frames without a person left out: {len(poses) - len(whole)}")
    return whole, ", ".join(done)


def frames_of(path: Path) -> dict:
    """The frames of a sequence, parsed: where each is from (for errors) -> content."""
    if path.is_dir():
        files = sorted(file for file in path.iterdir() if file.suffix.lower() == ".json")
        if not files:
            raise UserError(f"{path} holds no .json file; a sequence has one OpenPose JSON a frame")
        return {file: read_json(file) for file in files}
    content = read_json(path)
    frames = content.get("frames") if isinstance(content, dict) else content
    if not isinstance(frames, list):
        raise UserError(
            f'{path} is not a sequence; write {{"frames": [...]}} with one OpenPose object a frame'
        )
    return {f"{path}, frame {number}": frame for number, frame in enumerate(frames)}


def fill_gaps(poses, longest: int = LONGEST_GAP) -> np.ndarray:
    """Poses (k, 18, 2) with joints interpolated linearly where they are missing in up to `longest`
    consecutive frames; longer gaps and both ends stay."""
    filled = np.array(poses, np.float32)
    for joint in range(filled.shape[1]):
        known = np.flatnonzero(found(filled[:, joint]))
        for before, after in zip(known, known[1:]):
            if (steps := after - before) <= longest + 1:
                ends = filled[[before, after], joint]
                filled[before:after, joint] = np.linspace(*ends, steps, endpoint=False)
    return filled


def check_count(count: int):
    """UserError for an impossible number of poses between two."""
    if not 0 <= count <= 100:
        raise UserError(f"--between {count} is out of range; choose from 0 to 100")


def in_between(poses, count: int) -> np.ndarray:
    """Poses (k, 18, 2) with `count` more between each two, interpolated linearly; a joint that one
    of the two lacks is missing there."""
    frames = []
    for start, end in zip(poses, poses[1:]):
        both = (found(start) & found(end))[:, None]
        between = np.linspace(start, end, count + 1, endpoint=False)[1:]
        frames += [start, *np.where(both, between, -1)]
    return np.array([*frames, poses[-1]], np.float32)


def sheet(condition, poses, results, result_below: bool) -> np.ndarray:
    """The condition image, then skeletons and results, enlarged by one whole factor, on white:
    results below their skeletons, or in one line."""
    height, width = condition.shape[:2]
    factor = cell_scale(width)
    skeletons = [fine_skeleton(pose, height, width, factor) for pose in poses]
    first, *images = (enlarged(image, factor) for image in (condition, *results))
    rows = [[first, *skeletons, *images]]
    if result_below:
        rows = [[np.full_like(first, 255), *skeletons], [first, *images]]
    gap = ((GAP, 0), (GAP, 0), (0, 0))
    lines = [[np.pad(cell, gap, constant_values=255) for cell in row] for row in rows]
    joined = np.concatenate([np.concatenate(line, 1) for line in lines])
    return np.pad(joined, ((0, GAP), (0, GAP), (0, 0)), constant_values=255)


def figure1c(condition, poses, results) -> np.ndarray:
    """Figure 1(c): the condition image, then target poses above and generated images below, at
    most `STRIP`, evenly spaced. condition and results uint8 (H, W, 3), poses (18, 2)."""
    chosen = np.linspace(0, len(poses) - 1, min(STRIP, len(poses))).round().astype(int)
    return sheet(condition, [poses[k] for k in chosen], [results[k] for k in chosen], True)


def check_rate(fps: float):
    """UserError for a frame rate that GIF does not support: its clock ticks in 1/100 s."""
    if not 0.1 <= fps <= 50:
        raise UserError(f"GIF supports 0.1 to 50 frames per second, not {fps:g}")


def gif(condition, poses, results, fps: float = 8.0) -> bytes:
    """An endless GIF: condition image, target pose, generated image."""
    check_rate(fps)
    sheets = [sheet(condition, [p], [made], False) for p, made in zip(poses, results, strict=True)]
    first, *others = (Image.fromarray(image).quantize(255, dither=0) for image in sheets)
    stream, each = io.BytesIO(), 10 * round(100 / fps)  # milliseconds
    first.save(stream, "GIF", save_all=True, append_images=others, duration=each, loop=0)
    return stream.getvalue()
