"""Keypoints of the person in a photograph, by torchvision's Keypoint R-CNN.

An optional dependency (torchvision), and weights of 226 MB that the project does not hold.
"""

from functools import cache
from pathlib import Path

import numpy as np
import torch

from pg2lib.core import downloads
from pg2lib.core.files import UserError
from pg2lib.data.keypoints import found, from_coco17

# torchvision's COCO_V1, which publishes the beginning of its SHA-256 only, in the file's name.
KEYPOINT_RCNN = downloads.Weights(
    "torchvision's Keypoint R-CNN",
    "keypointrcnn_resnet50_fpn_coco-fc266e95.pth",
    "fc266e95",
    "https://download.pytorch.org/models/keypointrcnn_resnet50_fpn_coco-fc266e95.pth",
    "PG2_KEYPOINT_RCNN",
)
# Our choice; torchvision names none. A person below the first is a guess. The second is of a
# joint's heatmap before its softmax, where what is hidden or outside the photo stays lower.
PERSON_SCORE, JOINT_SCORE = 0.7, 2.0


def find_weights(given=None) -> Path | None:
    """Keypoint R-CNN's weights on this machine, the file `given` if it is named, or None; see
    `downloads.find`, also for the errors."""
    return downloads.find(KEYPOINT_RCNN, given)


def require_weights(given=None) -> Path:
    """Like `find_weights`, but what is not here is downloaded; UserError, within seconds, where
    that cannot be (see `downloads.require`) or torchvision is missing."""
    torchvision_library()  # before 226 MB are fetched for it
    try:
        return downloads.require(KEYPOINT_RCNN, given)
    except downloads.NoWeights as error:
        raise UserError(f"{error}, or give the pose as OpenPose JSON or CSV") from None


def torchvision_library():
    """torchvision, imported only where it is needed; UserError if it is not installed."""
    try:
        import torchvision
    except ImportError:
        raise UserError(
            "estimating keypoints needs torchvision: pip install torchvision, or give the pose "
            "as OpenPose JSON or CSV"
        ) from None
    return torchvision


def keypoint_rcnn(state: dict | None = None, **options):
    """torchvision's Keypoint R-CNN, in eval mode; with random weights if there is no state.

    Built as torchvision builds it for COCO_V1 (frozen batch normalisation, epsilon 0), which it
    does not do for weights from a file. options go to torchvision's class KeypointRCNN.
    """
    library = torchvision_library()
    detection, frozen = library.models.detection, library.ops.FrozenBatchNorm2d
    backbone = detection.backbone_utils.resnet_fpn_backbone(
        backbone_name="resnet50", weights=None, norm_layer=frozen
    )
    network = detection.KeypointRCNN(backbone, num_classes=2, num_keypoints=17, **options)
    for module in network.modules():
        if isinstance(module, frozen):
            module.eps = 0.0
    if state is not None:
        network.load_state_dict(state)
    return network.eval()


@cache  # a photo and its target pose ask for the same network
def load_network(path, device: str = "cpu"):
    """Keypoint R-CNN with the weights of a checked file."""
    state = torch.load(path, map_location="cpu", weights_only=True)
    return keypoint_rcnn(state).to(device)


@torch.no_grad()
def estimate(image, network, device: str = "cpu", where="the photo") -> np.ndarray:
    """Keypoints float32 (18, 2) of the most confident person in an image, uint8 (H, W, 3).

    network maps a list of float images (3, H, W) in [0, 1] to a list of dicts with "labels",
    "scores", "keypoints" (N, 17, 3) and "keypoints_scores" (N, 17), as torchvision's does.
    UserError that begins with `where` if nobody is there.
    """
    pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1).to(device) / 255
    seen = {name: value.cpu() for name, value in network([pixels])[0].items()}
    scores = torch.where(seen["labels"] == 1, seen["scores"], -1)  # 1 is "person"
    if not len(scores) or scores.max() < PERSON_SCORE:
        raise UserError(
            f"{where} shows nobody that Keypoint R-CNN is sure of; choose a photo with one whole "
            "person, or give the pose as OpenPose JSON or CSV"
        )
    best = scores.argmax()
    return joints(seen["keypoints"][best], seen["keypoints_scores"][best], *image.shape[:2])


def joints(keypoints, scores, height: int, width: int) -> np.ndarray:
    """COCO-17 keypoints (17, 3) and scores (17,) of a person to our float32 (18, 2); a joint of a
    low score or outside the image is missing."""
    places = keypoints[:, :2]
    there = found(places) & (places < places.new_tensor([width, height])).all(-1)
    places = torch.where((there & (scores >= JOINT_SCORE))[:, None], places, -1)
    return from_coco17(places.float()).numpy().astype(np.float32)
