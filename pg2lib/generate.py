"""One photo and one pose through a trained row: coarse image, difference map, refined image."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image

from pg2lib import datasets
from pg2lib.errors import UserError, write_atomically
from pg2lib.keypoints import found, read_csv, read_openpose_json


def read_image(path, height: int, width: int):
    """(uint8 (height, width, 3), what was done to the photo in words). UserError if unreadable."""
    try:
        with Image.open(path) as image:
            image = image.convert("RGB")
    except FileNotFoundError:
        raise UserError(f"{path} does not exist; name an image file with --image") from None
    except OSError as error:
        raise UserError(f"{path} is no intact image ({error}); use a JPEG or PNG") from None
    if image.size == (width, height):
        return np.asarray(image), f"{width}x{height} as it is"
    done = f"resized from {image.size[0]}x{image.size[1]} to {width}x{height} (width x height)"
    return np.asarray(image.resize((width, height), Image.Resampling.LANCZOS)), done


def read_target_pose(path, frame: tuple[int, int], size: tuple[int, int], name: str | None = None):
    """Keypoints (18, 2) in a picture of `size` (height, width).

    path is OpenPose JSON (COCO-18 or BODY_25), or a keypoint CSV of which `name` picks the row.
    frame is the (height, width) of the picture the file's coordinates belong to.
    """
    path = Path(path)
    if path.suffix == ".csv":
        table = read_csv(path)
        if name is None and len(table) == 1:
            name = next(iter(table))
        if name not in table:
            raise UserError(
                f"{path} holds {len(table)} poses; pick one with --name, for example "
                f"--name {next(iter(table), '...')}"
            )
        keypoints = table[name]
    else:
        keypoints = read_openpose_json(path)
    keypoints = np.asarray(keypoints, np.float32)
    here = found(keypoints)
    if not here.any():
        raise UserError(f"{path} has no joint that was found; choose another pose")
    outside = here & ((keypoints[:, 0] >= frame[1]) | (keypoints[:, 1] >= frame[0]))
    if outside.any():
        x, y = keypoints[outside][0]
        raise UserError(
            f"{path} has a joint at x={x:g}, y={y:g}, outside a picture of {frame[1]}x{frame[0]} "
            "(width x height); give the size of its picture with --frame WIDTHxHEIGHT"
        )
    scale = np.float32([size[1] / frame[1], size[0] / frame[0]])
    return np.where(here[:, None], keypoints * scale, np.float32(-1))


def generate(painter, image, keypoints, device: str = "cpu") -> dict:
    """image uint8 (H, W, 3) and keypoints (18, 2) -> {"coarse", "difference", "refined"}, uint8.

    The difference map is shown around mid-grey: 128 is no change, half the range either way. A
    one-stage row has no difference map (None).
    """
    pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1)[None].to(device)
    condition = datasets.to_float(pixels)
    pose = torch.from_numpy(np.asarray(keypoints, np.float32))[None].to(device)
    painted = painter(condition, pose)
    difference = painted["difference"]
    return {
        "coarse": datasets.pictures(painted["coarse"])[0],
        "difference": None if difference is None else datasets.pictures(difference / 2)[0],
        "refined": datasets.pictures(painted["refined"])[0],
    }


def write_images(images: dict, out) -> list[Path]:
    """Write what is there of `images` as out/NAME.png, each file whole or not at all."""
    out, paths = Path(out), []
    try:
        for name, image in images.items():
            if image is not None:
                with write_atomically(out / f"{name}.png") as temporary:
                    Image.fromarray(image).save(temporary)
                paths.append(out / f"{name}.png")
    except OSError as error:
        raise UserError(f"cannot write to {out} ({error}); name another folder, --out") from None
    return paths
