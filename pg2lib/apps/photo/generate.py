"""Your own photo in other poses: inputs brought into the frame of the model, results written."""

import os
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from pg2lib.apps.photo import photo, sequence
from pg2lib.core.config import SETTINGS
from pg2lib.core.files import UserError, write_atomically
from pg2lib.core.names import suggestion
from pg2lib.data import dataset as datasets
from pg2lib.data import framing
from pg2lib.data.keypoints import found, read_csv, read_openpose_json
from pg2lib.models.base import Inputs
from pg2lib.results import figures, provenance

SHEET, SEQUENCE = "sheet.png", "sequence.gif"  # the last file of one pose, and of several
SHEET_HEIGHT = 512  # dots of each picture on the sheet, about
TITLES = {"condition": "your photo,\ncropped", "pose": "target pose", "refined": "generated"}


def read_poses(path, name=None, detector=None):
    """(poses float32 (k, 18, 2) in pixels of their picture, description) of a sequence or pose."""
    if sequence.is_sequence(path):
        return sequence.read_sequence(path)
    if name and Path(path).suffix.lower() != ".csv":
        raise UserError(f"--name picks a row of a .csv, but {path} is none; leave it out")
    keypoints, about = read_pose(path, name, detector)
    return keypoints[None], about


def read_pose(path, name=None, detector=None):
    """(keypoints float32 (18, 2) in pixels of their picture, description) of OpenPose JSON, row
    `name` of a keypoint CSV (a Path: the row of the photo at that path), or a photo, which
    `detector(image, path)` reads. UserError for a file that cannot be read and for a pose that
    `framing.check_pose` refuses."""
    path, suffix = Path(path), Path(path).suffix.lower()
    if not path.exists():
        raise UserError(f"{path} does not exist; name a pose (.json, .csv) or a photo")
    if suffix == ".csv":
        table = read_csv(path)
        name = row_name(table, name, path) if isinstance(name, Path) else name
        keypoints, source = pick(table, name, path), "from CSV"
    elif suffix == ".json":
        keypoints, source = read_openpose_json(path), "from OpenPose JSON"
    elif suffix in framing.IMAGE_SUFFIXES:
        keypoints, source = detector(framing.read_image(path), path), "detected by Keypoint R-CNN"
    else:
        raise UserError(
            f"{path} is not a pose; name a .json (OpenPose), a .csv (keypoints) or a photo (.jpg, "
            ".png), or for a sequence of target poses a folder of .json files"
        )
    keypoints = framing.check_pose(keypoints, path)
    return keypoints, f"{int(found(keypoints).sum())} of 18 joints {source}"


def row_name(table: dict, photo: Path, path: Path) -> str:
    """The name of a photo in the table at a path: that in its folder, else the file's name."""
    photo, folder = photo.resolve(), path.resolve().parent
    inside = photo.relative_to(folder).as_posix() if photo.is_relative_to(folder) else photo.name
    return inside if inside in table else photo.name


def pick(table: dict, name, path):
    """The pose (18, 2) called `name` in a table of poses, or its only one. UserError otherwise."""
    if not table:
        raise UserError(f"{path} holds no pose, only a header; choose another file")
    whole = [n for n, pose in table.items() if found(pose).sum() >= framing.FEWEST_JOINTS]
    if not whole:
        raise UserError(
            f"none of the {len(table)} poses in {path} has {framing.FEWEST_JOINTS} of 18 joints; "
            "choose another file"
        )
    if name is None and len(table) > 1:
        raise UserError(
            f"{path} holds {len(table)} poses; pick one with --name, for example --name {whole[0]}"
        )
    if name is not None and name not in table:
        meant = suggestion(name, table) or f"; there is for example {whole[0]}"
        raise UserError(f"{path} has no pose called {name!r}{meant}")
    return table[next(iter(table)) if name is None else name]


def place(poses, size, frame=None, where="the pose"):
    """(poses in a frame of `size`, description); size, frame: (height, width).

    frame: of the poses' picture, which is then kept whole; without it the person fills `size` as in
    training. UserError for a joint outside the picture.
    """
    target = f"{size[1]}x{size[0]}"
    if frame is None:
        windows = framing.around_people(poses, *size)
        action = f"so that the person fills {target} as in training"
    else:
        outside = found(poses) & ~(poses < (frame[1], frame[0])).all(-1)
        if outside.any():
            x, y = poses[outside][0]
            raise UserError(
                f"{where} has a joint at x={x:g}, y={y:g}, outside a picture of "
                f"{frame[1]}x{frame[0]} (width x height); give the size of its picture with "
                "--frame WIDTHxHEIGHT"
            )
        windows = [framing.around_picture(frame, *size)] * len(poses)
        action = f"from its picture of {frame[1]}x{frame[0]} to {target}"
    placed = [framing.to_frame(pose, window, *size) for pose, window in zip(poses, windows)]
    return np.stack(placed), f"scaled by {size[0] / windows[0].height:.3g} {action}"


def condition_photo(
    image, size, pose=None, fit="pad", padding="edge", detector=None, where="", window=None,
    needed=False,
):  # fmt: skip
    """(uint8 (height, width, 3), its pose (18, 2) or None, description) of a photo uint8 (H, W, 3)
    of any size.

    The photo is cropped to the person if `pose` (18, 2) or `detector` shows where that is, and
    padded where the crop extends beyond it. Otherwise, or if the photo has the frame's aspect ratio
    and no pose is given, the whole photo is padded or, with fit="crop", its middle is taken.
    window: a `framing.Window` chosen by the user; then nothing is detected. needed: the pose itself
    is needed, so it is detected for any shape of photo. Raises UserError for a photo too small to
    show a person.
    """
    photo.check_size(image, where)
    if window is not None:
        about = framing.describe_cut(window, image.shape[:2], *size, padding)
        return framing.cut(image, window, *size, padding), None, about
    picture, framed, origin = image.shape[:2], None, "given"
    same = framing.same_shape(picture, size)
    if pose is None and detector and (needed or not same):
        pose, origin = framing.check_pose(detector(image, where), where), "detected"
    if pose is None:
        window = framing.around_picture(picture, *size, fit)
        about = "" if same else "; pose unknown: give --pose to crop to the person"
    else:
        [window] = framing.around_people([pose], *size)
        framed = framing.to_frame(pose, window, *size)
        about = f"; around the person, pose {origin}"
    about = framing.describe_cut(window, picture, *size, padding) + about
    return framing.cut(image, window, *size, padding), framed, about


def expectation(size: tuple[int, int], dataset: str) -> str:
    """A line on what to expect of a generator of this size (height, width), trained on this data
    set, for a photo of someone else."""
    setting = SETTINGS.get(dataset)
    whom = "people drawn by this project" if setting and setting.drawn else f"people of {dataset}"
    return (
        f"generator: knows {whom} at {size[1]}x{size[0]} pixels; expect the colours of the clothes "
        "in the new pose, not a likeness"
    )


def generate(generate_fn, image, keypoints, device: str = "cpu", condition_keypoints=None) -> dict:
    """The parts of the output by name, then "refined", the result: uint8 (H, W, 3) each.

    image uint8 (H, W, 3); target keypoints (18, 2); condition_keypoints (18, 2), the pose in the
    image, or None if unknown. In a difference map 128 is no change, at half contrast.
    """
    pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1)[None].to(device)
    before, after = (
        None if pose is None else torch.from_numpy(np.asarray(pose, np.float32))[None].to(device)
        for pose in (condition_keypoints, keypoints)
    )
    output = generate_fn(Inputs(datasets.to_float(pixels), before, after))
    shown = {n: part / 2 if n == "difference" else part for n, part in output.parts.items()}
    shown["refined"] = output.image
    return {name: datasets.pictures(picture)[0] for name, picture in shown.items()}


def generate_and_write(
    generate_fn, image, poses, out, fps: float = 8.0, device: str = "cpu", pose=None
) -> list[Path]:
    """Generate the person of a photo in each of the poses and write the results; their paths. In
    the model's frame: image uint8 (H, W, 3), poses (k, 18, 2) and the photo's own pose (18, 2) or
    None.

    One pose gives condition, pose, the parts of the output and refined.png, and of all of them
    sheet.png, enlarged and labelled; several condition.png, frames/000.png ..., figure1c.png and
    sequence.gif, and leave no frames of an earlier sequence. The one to look at is the last path.
    """
    if len(poses) == 1:
        skeleton = figures.draw_skeleton(poses[0], *image.shape[:2])
        images = {"condition": image, "pose": skeleton}
        images |= generate(generate_fn, image, poses[0], device, pose)
        files = {f"{name}.png": picture for name, picture in images.items()}
        return write(files | {SHEET: sheet(images, poses[0])}, out)
    refined = [generate(generate_fn, image, each, device, pose)["refined"] for each in poses]
    files = {"condition.png": image}
    files |= {f"frames/{k:03}.png": picture for k, picture in enumerate(refined)}
    files["figure1c.png"] = sequence.figure1c(image, poses, refined)
    files[SEQUENCE] = sequence.gif(image, poses, refined, fps)
    earlier = set(Path(out, "frames").glob("*.png"))
    paths = write(files, out, earlier)
    for old in earlier - set(paths):
        old.unlink()
    return [paths[0], Path(out, "frames"), *paths[-2:]]


def sheet(images: dict, pose) -> np.ndarray:
    """All pictures of one pose side by side, name -> uint8 (H, W, 3), enlarged by one whole factor
    and labelled; the skeleton of the pose (18, 2) is drawn at that size. uint8 (H', W', 3)."""
    height, width = images["condition"].shape[:2]
    scale = max(1, round(SHEET_HEIGHT / height))
    fine = figures.fine_skeleton(pose, height, width, scale)
    cells = [fine if name == "pose" else picture for name, picture in images.items()]
    titles = [TITLES.get(name, name) for name in images]
    return provenance.rendered(figures.grid([cells], titles, scale=scale))


def write(files: dict, out, earlier=()) -> list[Path]:
    """Write files in a folder, name -> uint8 (H, W, 3) or bytes; returns the paths.

    earlier: more files that the caller takes for those of an earlier call. Raises UserError if one
    of these or of the files to be written is there without the last file of such a call.
    """
    paths = [Path(out, name) for name in files]
    ours = any(Path(out, last).exists() for last in (SHEET, SEQUENCE))
    if foreign := sorted(path for path in {*paths, *earlier} if path.exists() and not ours):
        raise UserError(
            f"{foreign[0]} is there already, without a finished result of pg2 generate beside it; "
            "remove it, or name another folder with --out"
        )
    try:
        for path, content in zip(paths, files.values()):
            with write_atomically(path) as temporary:
                if isinstance(content, bytes):
                    temporary.write_bytes(content)
                else:
                    Image.fromarray(content).save(temporary)
    except OSError as error:
        raise UserError(f"cannot write to {out} ({error}); name another folder, --out") from None
    return paths


def check_folder(out) -> Path:
    """`out` if it is or can become a folder. UserError otherwise."""
    out = Path(out)
    there = next((path for path in (out, *out.parents) if path.exists()), out)
    if there.is_file():
        raise UserError(f"{there} is a file; name a folder with --out")
    if not os.access(there, os.W_OK | os.X_OK):
        raise UserError(f"cannot write to {there}; name another folder with --out")
    return out
