"""The data of a study: what profiles and options set, and for which data sets."""

import pytest

from pg2lib.core.config import PROFILES, Study, data_config, study_from_environment


@pytest.mark.parametrize("dataset", ["market1501", "deepfashion", "folder"])
def test_real_data_are_whole_but_in_the_tests_profile(dataset):
    """Fewer people are for drawn data; reduced data would leave out a published list of pairs."""
    for profile in set(PROFILES) - {"smoke"}:
        config = data_config(Study(dataset, profile))
        assert config.train_identities is None and config.images_per_identity is None, profile


def test_drawn_people_are_as_many_as_the_profile_says():
    config = data_config(Study("synthetic-market", "quick"))
    assert (config.train_identities, config.test_identities) == (240, 300)
    assert (config.images_per_identity, config.test_pairs) == (10, 1_200)
    assert (config.height, config.width, config.seed) == (64, 32, 0)
    assert data_config(Study("synthetic-market", "demo")).train_identities == 2_000


def test_a_named_frame_of_keypoints_reaches_the_data(monkeypatch):
    monkeypatch.delenv("PG2_KEYPOINT_FRAME", raising=False)
    assert data_config(Study("deepfashion")).keypoint_frame == "detect"
    named = Study("deepfashion", keypoint_frame="176x256")
    assert data_config(named).keypoint_frame == "176x256"
    monkeypatch.setenv("PG2_KEYPOINT_FRAME", "176x256")
    assert data_config(study_from_environment("deepfashion")) == data_config(named)
