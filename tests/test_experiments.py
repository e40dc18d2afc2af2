"""The rows, stages and profiles against the paper's numbers."""

import dataclasses

import pytest

from pg2lib.core.files import UserError
from pg2lib.models import experiments


def test_the_rows_are_the_papers_in_its_order():
    assert list(experiments.ROWS) == [
        "G1-CE-L1", "G1-HME-L1", "G1-L1", "G1-poseMaskLoss", "G1+D", "G1+G2+D",
    ]  # fmt: skip
    assert list(experiments.PAPER_TABLE1) == list(experiments.ROWS)


def test_rows_that_share_a_stage_name_the_same_stage():
    assert experiments.ROWS["G1+G2+D"].stages[0] == experiments.ROWS["G1-poseMaskLoss"].stages[0]
    assert experiments.STAGES["G2+D"]["coarse"] == "G1-poseMaskLoss"


def test_paper_profile_holds_the_papers_numbers():
    one, two = experiments.stages("G1+G2+D", "market1501", "paper")
    assert (one.iterations, two.iterations, one.batch, one.channels) == (22_000, 14_000, 16, 128)
    assert (one.learning_rate, one.schedule, one.beta1, one.beta2) == (2e-5, "constant", 0.5, 0.999)
    assert (two.l1_weight, two.d_mode, two.heatmap_values) == (10.0, "pair", "paper")
    one, two = experiments.stages("G1+G2+D", "deepfashion", "paper")
    assert (one.iterations, two.iterations, one.batch, one.height) == (30_000, 20_000, 8, 256)
    assert two.l1_weight == 50.0 and two.skip_full_res


def test_released_profile_takes_the_released_side():
    one, two = experiments.stages("G1+G2+D", "market1501", "released")
    assert (one.iterations, two.iterations) == (22_000, 38_000)
    assert (two.d_mode, two.d_batch, two.d_sees_coarse) == ("triplet", "own", True)
    assert one.heatmap_values == "released"


def test_the_ablations_differ_in_one_thing_each():
    def changed(a, b):
        a, b = (dataclasses.asdict(experiments.stage(name)) for name in (a, b))
        return {name for name in a if a[name] != b[name]} - {"name"}

    assert changed("G1-CE-L1", "G1-L1") == {"pose"}
    assert changed("G1-HME-L1", "G1-L1") == {"pose"}
    assert changed("G1-L1", "G1-poseMaskLoss") == {"mask_weight"}

    for row in experiments.ABLATIONS.values():
        against = experiments.EVERY_ROW[row.against]
        assert row.stages[:-1] == against.stages[:-1]  # the same G1 below
        (difference,) = changed(row.stages[-1], against.stages[-1])
        assert difference in ("residual", "g2_paints", "d_mode", "l1_weight", "fully_connected")


def test_lambda_is_swept_by_four_orders_of_magnitude():
    names = ("G2-lambda-small+D", "G2+D", "G2-lambda-large+D")
    weights = [experiments.stage(name, "market1501", "paper").l1_weight for name in names]
    assert weights == pytest.approx([0.1, 10, 1000])


def test_drawn_fashion_is_the_deepfashion_half_in_small():
    real, drawn = (experiments.SETTINGS[name] for name in ("deepfashion", "synthetic-fashion"))
    assert dataclasses.replace(drawn, drawn=False) == real
    stage = experiments.stage("G1-L1", "synthetic-fashion", "quick")
    assert (stage.height, stage.width) == (64, 64) and stage.batch == 4


def test_what_only_adversarial_stages_use_does_not_mark_the_others():
    plain, paper = (experiments.stage("G1-L1", profile=name) for name in ("quick", "paper"))
    assert (plain.d_learning_rate, plain.l1_weight) == (paper.d_learning_rate, paper.l1_weight)
    assert experiments.stage("G1+D", profile="quick").d_learning_rate != plain.d_learning_rate


@pytest.mark.parametrize("kind", ["stage", "data_config"])
def test_unknown_names_are_refused_with_the_choices(kind):
    with pytest.raises(UserError, match="quick"):
        if kind == "stage":
            experiments.stage("G1-L1", profile="fast")
        else:
            experiments.data_config("market1501", "fast")
    with pytest.raises(UserError, match="market1501"):
        experiments.stage("G1-L1", "market")
    with pytest.raises(UserError, match="G1-L1"):
        experiments.stages("G1")
