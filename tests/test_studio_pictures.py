"""Pictures of the studio: each is of the person, pose and row that it is shown for."""

from collections import Counter

import numpy as np

from pg2lib.apps.pose_studio import studio
from pg2lib.apps.pose_studio.editor import Key, Timeline
from pg2lib.models.base import Output

ONE, TWO = "G1-L1", "G1+G2+D"


def upright(x):
    """All joints one below the other, at a place x of a frame of 64x32."""
    return np.stack([np.full(18, x), np.linspace(5, 58, 18)], -1).astype(np.float32)


def timeline(*places):
    return Timeline(tuple(Key(str(x), upright(x)) for x in places), between=0)


def greys(row):
    """A generator whose image is grey, 8 times the place x of the pose."""

    def paint(inputs):
        grey = inputs.target_keypoints[0, 3, 0] / 15.9375 - 1
        return Output(grey.expand(inputs.condition.shape))

    return paint


def copies(row):
    return lambda inputs: Output(inputs.condition)


def painted(made):
    return made.pictures()[-1].image


def test_another_person_gets_a_background_of_their_own(data):
    made = studio.Studio(data, copies, [ONE])
    made.set_timeline(timeline(6, 26))
    for choice in (0, len(made.choices) - 1):  # people in front of different backgrounds
        made.choose_condition(choice)
        _, images = made.generated_sequence()
        assert np.abs(images - made.image.astype(int)).max() <= 1


def test_a_pose_that_is_edited_after_a_look_at_the_sequence_is_as_painted(data):
    made = studio.Studio(data, greys, [ONE])
    made.set_timeline(timeline(4, 28))
    made.seek(1)
    assert painted(made)[30, 16, 0] == 128  # of the whole sequence: 8 * (4 + 28) / 2
    made.editor.drop(3, 20, 30)
    assert (painted(made) == 160).all()  # 8 * 20, everywhere


def test_the_background_is_the_mean_where_each_poses_own_person_is_not(data, monkeypatch):
    monkeypatch.setattr(studio, "BEHIND", 2)  # of three poses the first and the last
    made = studio.Studio(data, greys, [ONE])
    made.set_timeline(timeline(4, 5, 28))
    _, (left, _, right) = made.generated_sequence()
    assert [left[30, x, 0] for x in (4, 16, 28)] == [32, 128, 32]  # her own; of both; of herself
    assert [right[30, x, 0] for x in (4, 16, 28)] == [224, 128, 224]


def test_every_label_names_its_image(data):
    made, seen = studio.Studio(data, greys, [ONE]), Counter()
    for image, label in zip(made.choices, made.labels, strict=True):
        person = data.identities[image]
        seen[person] += 1
        assert label == f"person {person}, image {seen[person]}"
    assert len(seen) > 1 and set(seen.values()) != {1}


def test_a_snapshot_shows_every_row_beside_its_title(data, monkeypatch):
    def load(row):
        def paint(inputs):
            parts = [inputs.condition * share for share in (0.2, 0.4, 0.6)]
            if row == ONE:
                return Output(parts[0])
            return Output(parts[2], dict(coarse=parts[1], difference=parts[0]))

        return paint

    shown = []
    monkeypatch.setattr(studio.figures, "grid", lambda *given, **more: shown.append(given))
    made = studio.Studio(data, load, [ONE, TWO], ONE, TWO)
    made.snapshot()
    [(lines, titles, rows)] = shown
    assert rows == [studio.figures.title(row) for row in (ONE, TWO)]
    assert titles[4:] == ["Coarse", "Difference map", "Refined"]
    white, (one, two) = np.full_like(made.image, 255), map(made.generated, (ONE, TWO))
    wanted = [[white, white, one["refined"]], [two["coarse"], two["difference"], two["refined"]]]
    for line, expected in zip(lines, wanted, strict=True):
        np.testing.assert_array_equal(line[0], made.image)
        for picture, image in zip(line[4:], expected, strict=True):
            np.testing.assert_array_equal(picture, image)
