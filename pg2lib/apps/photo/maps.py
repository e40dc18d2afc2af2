"""Parsing maps for a photo, for rows that need them: from a file, or drawn from its pose."""

from dataclasses import replace

import numpy as np
import torch

from pg2lib.apps.photo.generate import condition_photo
from pg2lib.core.files import UserError
from pg2lib.data import own_parsing, parsing
from pg2lib.training import extras

OPTION = "--photo-parsing"


def read(text: str, labels: str, picture) -> np.ndarray:
    """The map of a photo (height, width), uint8 of its size, that "ORDER:FILE" names. UserError if
    it is not one."""
    order, path = own_parsing.split(text)
    found = own_parsing.read_map(path, order, labels)
    if found.shape != tuple(picture):
        raise UserError(
            f"{path} has {found.shape[1]}x{found.shape[0]} pixels, the photo has "
            f"{picture[1]}x{picture[0]}; give the map of this photo"
        )
    return found


def framed(found, labels: str, *how) -> np.ndarray:
    """A map (H, W) cut as `condition_photo` cuts the photo with the arguments `how`: each pixel the
    label with the largest share, uint8 (height, width)."""
    count = parsing.count(labels)
    shares = 255 * np.eye(-(-count // 3) * 3, dtype=np.uint8)[found]  # three labels, three colours
    parts = [condition_photo(shares[..., k : k + 3], *how)[0] for k in range(0, count, 3)]
    return np.concatenate(parts, -1)[..., :count].argmax(-1).astype(np.uint8)


def of_photo(method, labels: str, pose, given=None, size=None):
    """(map uint8 (height, width), where it comes from) of a photo in the frame of the model.

    pose: its own (18, 2) or None; given: a map of the user's own. UserError if there is neither, or
    the row needs what no photo has.
    """
    if "target_parsing" in extras.names(method):
        raise UserError(
            f"{method.name} needs the parsing map of the image that it is to paint, which is not "
            "there yet; choose another row"
        )
    if given is not None:
        return given, "the given file"
    if pose is None:
        raise UserError(
            f"{method.name} needs the parsing map of the photo: give it with {OPTION}, or the pose "
            "of the photo, from which pose regions are drawn"
        )
    points = torch.from_numpy(np.asarray(pose, np.float32))[None]
    return parsing.pose_regions(points, *size, labels)[0].numpy(), (
        f"pose regions, drawn from the photo's pose ({OPTION} gives a map of your own)"
    )


def with_map(generate_fn, found):
    """A row as a function Inputs -> Output with the map (H, W) of its condition image."""

    def generate(inputs):
        maps = torch.from_numpy(found)[None].expand(len(inputs.condition), -1, -1)
        known = {"parsing": maps.to(inputs.condition.device)}
        return generate_fn(replace(inputs, extras=inputs.extras | known))

    return generate


def with_known_maps(generate_fn, method, labels: str, dataset):
    """A row as a function Inputs -> Output that finds the map of its one condition image: that of
    the image of a Dataset with maps that has the same pose, else as `of_photo`."""
    known = {pose.tobytes(): number for number, pose in enumerate(dataset.keypoints)}

    def generate(inputs):
        pose = inputs.condition_keypoints
        pose = None if pose is None else pose[0].cpu().numpy()
        number = None if pose is None else known.get(pose.tobytes())
        given = None if number is None else dataset.extras["parsing"][number]
        size = dataset.height, dataset.width
        found, _ = of_photo(method, labels, pose, given, size)
        return with_map(generate_fn, found)(inputs)

    return generate
