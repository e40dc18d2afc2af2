"""Keypoint R-CNN: its plumbing, without its weights and without a network."""

import numpy as np
import pytest
import torch
from torchvision.models.detection import KeypointRCNN_ResNet50_FPN_Weights as Published
from torchvision.models.detection import keypointrcnn_resnet50_fpn

from pg2lib.apps.photo import detect_keypoints
from pg2lib.core.files import UserError
from pg2lib.data.keypoints import JOINTS

COCO = Published.COCO_V1.meta["keypoint_names"]  # torchvision's own order


def person(score, offset, label=1, joint_score=9.0):
    """One detection; joint k of COCO-17 at (10 k + offset, 5 k + offset)."""
    k = torch.arange(17.0)
    keypoints = torch.stack([10 * k + offset, 5 * k + offset, torch.ones(17)], -1)
    return label, score, keypoints, torch.full((17,), joint_score)


def network(*people):
    """What torchvision's network returns for one image with these people."""
    labels, scores, keypoints, joint_scores = zip(*people) if people else ((), (), (), ())
    found = {
        "boxes": torch.zeros(len(people), 4),
        "labels": torch.tensor(labels, dtype=torch.int64),
        "scores": torch.tensor(scores),
        "keypoints": torch.stack(keypoints) if people else torch.zeros(0, 17, 3),
        "keypoints_scores": torch.stack(joint_scores) if people else torch.zeros(0, 17),
    }
    return lambda images: [found]


PHOTO = np.zeros((300, 400, 3), np.uint8)


def test_coco_joints_become_ours_by_name():
    keypoints = detect_keypoints.detect(PHOTO, network(person(0.9, 3)))
    assert keypoints.shape == (18, 2) and keypoints.dtype == np.float32
    for joint, place in zip(JOINTS, keypoints):
        if joint != "neck":
            k = COCO.index(joint)
            np.testing.assert_array_equal(place, (10 * k + 3, 5 * k + 3))
    shoulders = [keypoints[JOINTS.index(f"{side}_shoulder")] for side in ("left", "right")]
    np.testing.assert_array_equal(keypoints[1], np.mean(shoulders, 0))


def test_the_most_confident_person_counts_and_no_other_class():
    people = person(0.8, 1), person(0.95, 2), person(0.99, 3, label=2), person(0.9, 4)
    np.testing.assert_array_equal(detect_keypoints.detect(PHOTO, network(*people))[0], (2, 2))


def test_nobody_is_told():
    for people in ((), (person(0.3, 1),), (person(0.9, 1, label=2),)):
        with pytest.raises(UserError, match="^me.jpg: .* found no person"):
            detect_keypoints.detect(PHOTO, network(*people), where="me.jpg")


def test_uncertain_joints_and_those_outside_the_photo_are_missing():
    label, score, keypoints, joint_scores = person(0.9, 0)
    for joint, score_of_joint in (("left_shoulder", -1), ("left_eye", 1.99), ("left_ear", 2.0)):
        joint_scores[COCO.index(joint)] = score_of_joint
    keypoints[COCO.index("right_ankle"), 0] = 400
    keypoints[COCO.index("left_ankle"), 1] = 300
    keypoints[COCO.index("right_knee"), 0] = 399
    seen = detect_keypoints.detect(PHOTO, network((label, score, keypoints, joint_scores)))
    missing = [joint for joint, place in zip(JOINTS, seen) if (place == -1).all()]
    assert missing == ["neck", "left_shoulder", "right_ankle", "left_ankle", "left_eye"]


def test_the_image_goes_in_as_torchvision_wants_it():
    image = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    got = []

    def spy(images):
        got.extend(images)
        return network(person(0.9, 0))(images)

    detect_keypoints.detect(image, spy)
    assert len(got) == 1 and got[0].shape == (3, 20, 30) and got[0].dtype == torch.float32
    np.testing.assert_allclose(got[0].numpy(), image.transpose(2, 0, 1) / 255, atol=1e-6)


SMALL = dict(min_size=64, max_size=64, box_detections_per_img=2, rpn_post_nms_top_n_test=20)


@pytest.fixture(scope="module")
def state():
    """Random weights, with batch normalisation that halves: variances so small that an epsilon
    would be felt, and no signal that explodes."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        state = detect_keypoints.keypoint_rcnn(**SMALL).state_dict()
    for name, value in state.items():
        if name.endswith("running_var"):
            value.fill_(1e-4)
            state[name.replace("running_var", "weight")].fill_(5e-3)
    return state


def test_weights_from_a_file_see_what_torchvisions_own_loading_sees(state, tmp_path, monkeypatch):
    """Random weights: torchvision's builder, handed them as its download, gives the same."""
    monkeypatch.setattr(Published, "get_state_dict", lambda self, *args, **kwargs: state)
    theirs = keypointrcnn_resnet50_fpn(weights=Published.COCO_V1, **SMALL).eval()
    ours = detect_keypoints.keypoint_rcnn(state, **SMALL)
    image = torch.rand(3, 64, 48, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        expected, got = theirs([image])[0], ours([image])[0]
    assert len(expected["scores"]) == 2
    for name, value in expected.items():
        torch.testing.assert_close(got[name], value)
    # And the network's own output goes through `detect`, whose thresholds it does not reach.
    with pytest.raises(UserError, match="found no person"):
        detect_keypoints.detect(np.zeros((64, 48, 3), np.uint8), ours)


# ---------------------------------------------------------------- the weights


@pytest.fixture
def without_weights(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.delenv("PG2_KEYPOINT_RCNN", raising=False)
    monkeypatch.setenv("PG2_DOWNLOAD", "off")


def test_the_weights_are_those_that_torchvision_publishes():
    weights = detect_keypoints.KEYPOINT_RCNN
    assert weights.url == Published.COCO_V1.url and weights.url.endswith(f"/{weights.file}")
    assert weights.file.endswith(f"-{weights.sha256}.pth")


def test_weights_that_are_not_there_are_told(without_weights, tmp_path, monkeypatch):
    assert detect_keypoints.find_weights() is None
    with pytest.raises(UserError, match="downloads are off.*PG2_KEYPOINT_RCNN.*OpenPose JSON"):
        detect_keypoints.require_weights()
    (tmp_path / "mine.pth").write_bytes(b"other weights")
    with pytest.raises(UserError, match="mine.pth is not torchvision's .* fetch it again"):
        detect_keypoints.find_weights(tmp_path / "mine.pth")
    monkeypatch.setenv("PG2_KEYPOINT_RCNN", str(tmp_path / "gone.pth"))
    with pytest.raises(UserError, match="gone.pth.* does not exist"):
        detect_keypoints.require_weights()
