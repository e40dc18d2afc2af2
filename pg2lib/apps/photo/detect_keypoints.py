"""Keypoints of the person in a photograph, detected by torchvision's Keypoint R-CNN (226 MB of
weights)."""

from functools import cache, partial
from pathlib import Path

import numpy as np
import torch

from pg2lib.core import downloads
from pg2lib.core.files import UserError, write_json
from pg2lib.data.framing import read_image
from pg2lib.data.keypoints import found, from_coco17, write_openpose_json

# torchvision's COCO_V1; its file name holds the first digits of its SHA-256.
KEYPOINT_RCNN = downloads.Weights(
    "torchvision's Keypoint R-CNN",
    "keypointrcnn_resnet50_fpn_coco-fc266e95.pth",
    "fc266e95",
    "https://download.pytorch.org/models/keypointrcnn_resnet50_fpn_coco-fc266e95.pth",
    "PG2_KEYPOINT_RCNN",
)
# Our thresholds; torchvision names none. PERSON_SCORE is a probability. JOINT_SCORE is the maximum
# of a joint's heatmap before its softmax, lower where a joint is hidden or outside the photo.
PERSON_SCORE, JOINT_SCORE = 0.7, 2.0

find_weights = partial(downloads.find, KEYPOINT_RCNN)  # the file on this machine, or None


def require_weights(given=None) -> Path:
    """Like `find_weights`, but downloads missing weights. UserError if the download fails."""
    try:
        return downloads.require(KEYPOINT_RCNN, given)
    except downloads.NoWeights as error:
        raise UserError(f"{error}, or give the pose as OpenPose JSON or CSV") from None


def require_pose(row, where, given=None):
    """Weights that detect the pose in the photo `where`, which a row needs; downloaded if missing.
    UserError that says how to give the pose if there are none."""
    try:
        downloads.require(KEYPOINT_RCNN, given)
    except downloads.NoWeights as error:
        raise UserError(
            f"{row} needs the pose of the person in {where}; give it with --pose FILE (OpenPose "
            f"JSON or CSV), or the weights that detect it: {error}"
        ) from None


def keypoint_rcnn(state: dict | None = None, **options):
    """torchvision's Keypoint R-CNN in eval mode, with random weights if `state` is None; built as
    for COCO_V1 (frozen batch normalisation, epsilon 0), which it does not do for a file."""
    from torchvision.models import detection
    from torchvision.ops import FrozenBatchNorm2d

    build = detection.backbone_utils.resnet_fpn_backbone
    norm = partial(FrozenBatchNorm2d, eps=0.0)
    backbone = build(backbone_name="resnet50", weights=None, norm_layer=norm)
    network = detection.KeypointRCNN(backbone, num_classes=2, num_keypoints=17, **options)
    if state is not None:
        network.load_state_dict(state)
    return network.eval()


@cache  # the photo and the target pose may both need it
def load_network(path, device: str = "cpu"):
    """Keypoint R-CNN with the weights of a checked file."""
    state = torch.load(path, map_location="cpu", weights_only=True)
    return keypoint_rcnn(state).to(device)


def detector(weights=None, device: str = "cpu"):
    """The function (image, where) -> keypoints (18, 2), which loads the network when called and
    looks at each file `where` once."""
    seen = {}

    def look(image, where):
        if where not in seen:
            network = load_network(require_weights(weights), device)
            seen[where] = detect(image, network, device, where)
        return seen[where]

    return look


def detect_folder(source, places, network, device: str = "cpu", progress=None) -> str:
    """Write the keypoints of images of a folder as OpenPose JSON; returns a sentence on what was
    done. places: image -> path of its JSON file (`folder.without_poses`); network: see `detect`."""
    empty = []
    for done, (name, place) in enumerate(places.items(), start=1):
        image = read_image(Path(source, name))
        try:
            write_openpose_json(place, detect(image, network, device, name))
        except UserError:  # no person found
            write_json(place, {"version": 1.2, "people": []})
            empty.append(name)
        if progress:
            progress(done, len(places))
    done = f"wrote the keypoints of {len(places):,} images below {source}"
    return done + (f"; no person in {len(empty):,}, such as {empty[0]}" if empty else "")


@torch.no_grad()
def detect(image, network, device: str = "cpu", where="the photo") -> np.ndarray:
    """Keypoints float32 (18, 2) of the most confident person in an image uint8 (H, W, 3).

    network maps a list of float images (3, H, W) in [0, 1] to a list of dicts with "labels",
    "scores", "keypoints" (N, 17, 3) and "keypoints_scores" (N, 17), as torchvision's does. A joint
    with a low score or outside the image is missing. UserError, beginning with `where`, if no
    person is found.
    """
    pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1).to(device) / 255
    result = {name: value.cpu() for name, value in network([pixels])[0].items()}
    scores = torch.where(result["labels"] == 1, result["scores"], -1)  # label 1 is "person"
    if not len(scores) or scores.max() < PERSON_SCORE:
        raise UserError(
            f"{where}: Keypoint R-CNN found no person with confidence; choose a photo with one "
            "whole person, or give the pose as OpenPose JSON or CSV"
        )
    best = scores.argmax()
    joints = result["keypoints"][best, :, :2].float()
    inside = found(joints) & (joints < joints.new_tensor(image.shape[1::-1])).all(-1)
    kept = inside & (result["keypoints_scores"][best] >= JOINT_SCORE)
    return from_coco17(torch.where(kept[:, None], joints, -1)).numpy()
