"""The registry, the rows' configurations and the profiles against the paper's numbers."""

import dataclasses

import pytest
import smoke

from pg2lib import models
from pg2lib.core import config as configs
from pg2lib.core.config import Study
from pg2lib.core.files import UserError
from pg2lib.training import describe
from pg2lib.workflow import pipeline


def row_configs(row, dataset="market1501", profile="paper"):
    return [smoke.config(method.name, dataset, profile) for method in models.chain(row)]


def test_the_rows_are_the_papers_in_its_order():
    assert models.rows()[:6] == (
        "G1-CE-L1", "G1-HME-L1", "G1-L1", "G1-poseMaskLoss", "G1+D", "G1+G2+D",
    )  # fmt: skip
    assert all(models.find(row).published["market1501"]["ssim"] for row in models.rows()[:6])


def test_the_printed_scores_are_those_of_table_1():
    """As on the poster, which has every cell."""
    columns = [("deepfashion", "ssim"), ("deepfashion", "inception"), ("market1501", "ssim"),
        ("market1501", "inception"), ("market1501", "mask_ssim"),
        ("market1501", "mask_inception")]  # fmt: skip
    for row, *cells in (
        ("G1-CE-L1", 0.694, 2.395, 0.219, 2.568, 0.771, 2.455),
        ("G1-HME-L1", 0.735, 2.427, 0.294, 3.171, 0.802, 2.508),
        ("G1-L1", 0.735, 2.427, 0.304, 3.006, 0.809, 2.455),
        ("G1-poseMaskLoss", 0.779, 2.668, 0.340, 3.326, 0.817, 2.682),
        ("G1+D", 0.761, 3.091, 0.283, 3.490, 0.803, 3.310),
        ("G1+G2+D", 0.762, 3.090, 0.253, 3.460, 0.792, 3.435),
    ):
        halves = models.find(row).published.items()
        found = {(half, score): cell for half, scores in halves for score, cell in scores.items()}
        assert found == dict(zip(columns, cells)), row


def test_paper_profile_holds_the_papers_numbers():
    one, two = row_configs("G1+G2+D")
    assert (one.iterations, two.iterations, one.batch, one.channels) == (22_000, 14_000, 16, 128)
    assert (one.learning_rate, one.schedule, one.beta1, one.beta2) == (2e-5, "constant", 0.5, 0.999)
    assert (two.l1_weight, two.d_mode, two.heatmap_values) == (10.0, "pair", "paper")
    one, two = row_configs("G1+G2+D", "deepfashion")
    assert (one.iterations, two.iterations, one.batch, one.height) == (30_000, 20_000, 8, 256)
    assert two.l1_weight == 50.0 and two.skip_full_res


def test_released_profile_takes_the_released_side():
    one, two = row_configs("G1+G2+D", profile="released")
    assert (one.iterations, two.iterations) == (22_000, 38_000)
    assert (one.batch, two.batch, two.l1_weight) == (16, 16, 10.0)
    assert (two.d_mode, two.d_batch, two.d_sees_coarse) == ("triplet", "own", True)
    assert one.heatmap_values == "released"
    one, two = row_configs("G1+G2+D", "deepfashion", "released")
    assert (one.iterations, two.iterations) == (22_000, 58_000)
    assert (one.batch, two.batch, two.l1_weight) == (1, 1, 50.0)
    assert (two.d_mode, two.d_batch, two.d_sees_coarse) == ("triplet", "own", False)


def test_the_ablations_differ_in_one_thing_each():
    def changed(a, b):
        a, b = (dataclasses.asdict(smoke.config(name)) for name in (a, b))
        return {name for name in a if a[name] != b[name]}

    assert changed("G1-CE-L1", "G1-L1") == {"pose", "visibility"}
    assert changed("G1-HME-L1", "G1-L1") == {"pose"}
    assert changed("G1-L1", "G1-poseMaskLoss") == {"mask_weight"}
    for row in models.ablations():
        against = models.find(row).against
        assert models.chain(row)[:-1] == models.chain(against)[:-1]  # the same G1 below
        (difference,) = changed(row, against)
        assert difference in (
            "residual", "skips", "mask_weight", "g2_paints", "d_mode", "l1_weight",
            "fully_connected",
        )  # fmt: skip


def test_lambda_is_swept_by_four_orders_of_magnitude():
    factors = {"small": 0.01, "0.1": 0.1, "10": 10.0, "large": 100.0}
    for dataset, profile in (("market1501", "paper"), ("deepfashion", "paper"),
                             ("synthetic-market", "demo")):  # fmt: skip
        ours = row_configs("G1+G2+D", dataset, profile)[-1]
        for name, factor in factors.items():
            config = row_configs(f"G2-lambda-{name}+D", dataset, profile)[-1]
            for term in ("l1_weight", "feature_matching", "structural"):  # all that lambda weighs
                assert getattr(config, term) == pytest.approx(factor * getattr(ours, term))
    assert ours.l1_weight and ours.feature_matching and ours.structural


def test_drawn_fashion_is_the_deepfashion_half_in_small():
    real, drawn = (configs.SETTINGS[name] for name in ("deepfashion", "synthetic-fashion"))
    assert dataclasses.replace(drawn, drawn=False) == real
    config = smoke.config("G1-L1", "synthetic-fashion", "quick")
    assert (config.height, config.width) == (64, 64) and config.batch == 4


@pytest.mark.parametrize("text", ["", "METHODS = 3", "METHODS = ('G1',)"])
def test_a_method_file_without_a_tuple_of_methods_is_told(tmp_path, text):
    file = tmp_path / f"own{len(text)}.py"
    file.write_text(text)
    with pytest.raises(UserError, match="holds no tuple METHODS of models.base.Method"):
        models.load_file(file)


@pytest.mark.parametrize("name", ["my row", "Mine (2)", "a/b", ""])
def test_a_method_whose_name_cannot_name_a_folder_is_told(tmp_path, monkeypatch, name):
    """`pg2 runs pack` finds steps by their folders."""
    file = tmp_path / "own.py"
    file.write_text("from dataclasses import replace\nfrom pg2lib import models\n"
                    f"METHODS = (replace(models.find('G1-L1'), name={name!r}),)\n")  # fmt: skip
    monkeypatch.setenv("PG2_METHODS", str(file))
    with pytest.raises(UserError, match="a method is called .*; use letters"):
        models.registry()


def test_first_stages_that_no_row_refines_may_be_shorter(tmp_path):
    file = tmp_path / "two.toml"
    file.write_text('base = "smoke"\niterations = [8, 4]\nunrefined = 5\nbatch = 3\n')
    study = Study(profile=str(file))
    steps = {name: pipeline.method_config(study, name).iterations for name in models.METHODS}
    assert steps["G1-poseMaskLoss"] == 8 and steps["G1+G2+D"] == 4 and steps["G2-L1+D"] == 4
    assert {steps[name] for name in ("G1-L1", "G1-CE-L1", "G1-HME-L1", "G1+D")} == {5}
    changed = dataclasses.replace(study, overrides=("iterations=7",))  # beats the profile
    assert pipeline.method_config(changed, "G1-L1").iterations == 7
    rows = ("G1-L1", "G1-poseMaskLoss", "G1+G2+D")
    seen = describe.first_stage_pairs(study, rows)
    assert seen == {"G1-L1": 15, "G1-poseMaskLoss": 24, "G1+G2+D": 24}
    assert describe.first_stage_pairs(Study(profile="quick"), rows) == {}


def test_what_only_adversarial_runs_use_does_not_mark_the_others():
    plain, paper = (smoke.config("G1-L1", profile=name) for name in ("quick", "paper"))
    assert (plain.d_learning_rate, plain.l1_weight) == (paper.d_learning_rate, paper.l1_weight)
    assert smoke.config("G1+D", profile="quick").d_learning_rate != plain.d_learning_rate


def check(overrides):
    pipeline.check(Study(overrides=overrides))


@pytest.mark.parametrize(
    "make, words",
    [
        (lambda: Study(profile="fast"), "unknown profile 'fast'.*quick"),
        (lambda: Study("market"), "unknown data set 'market'.*market1501"),
        (lambda: models.chain("G1"), "unknown row 'G1'.*G1-L1"),
        (lambda: Study(overrides="iterations"), "not FIELD=VALUE"),
        (lambda: pipeline.check(Study(overrides="dilation=2")), "no such field"),
        (lambda: pipeline.check(Study(overrides="G9.channels=2")), "no method G9"),
        (
            lambda: check("iteratons=5"),
            "field; did you mean iterations\\? The fields are .*channels",
        ),
        (lambda: check("G1-L1.chanels=5"), "field of G1-L1; did you mean channels\\?"),
        (lambda: check("g1-l1.channels=5"), "no method g1-l1; did you mean G1-L1"),
        (lambda: check("keypoint.batch=5"), "no method keypoint; did you mean keypoints"),
        (lambda: check("zzzz=5"), "--set zzzz: no such field; fields are .*channels"),
        (lambda: pipeline.check(Study(overrides="batch=two")), "batch is 'two'.*int"),
        (lambda: pipeline.check(Study(overrides="batch=True")), "batch is True"),
        (lambda: pipeline.check(Study(overrides="schedule=cosin")), "unknown schedule 'cosin'"),
        (lambda: pipeline.check(Study(overrides="precision=bf16")), "unknown precision 'bf16'"),
        (lambda: pipeline.check(Study(overrides="d_mode=pairs")), "unknown d_mode 'pairs'"),
        (lambda: pipeline.check(Study(overrides="blurred=0")), "no such field"),  # of keypoints
    ],
)
def test_mistakes_are_named(make, words):
    with pytest.raises(UserError, match=words):
        make()


# ---- values changed by hand


def test_any_number_can_be_changed():
    study = Study(profile="smoke", overrides="iterations=50 channels=8 G1-L1.channels=6 height=32")
    pipeline.check(study)
    one, other = (pipeline.method_config(study, name) for name in ("G1-L1", "G1+D"))
    assert (one.iterations, one.channels, other.channels) == (50, 6, 8)
    assert (one.height, one.width, pipeline.data_config(study).height) == (32, 16, 32)
    assert pipeline.method_config(study, "keypoints").iterations == 6  # only where it is named
    own = Study(profile="smoke", overrides="keypoints.iterations=9 test_pairs=7")
    assert pipeline.method_config(own, "keypoints").iterations == 9
    assert pipeline.data_config(own).test_pairs == 7
    assert "iterations=50" in study.name and "iterations=50" in study.changes
    assert 'SET="' in study.command and "G1-L1.channels=6" in study.command


def test_the_last_of_two_overrides_counts():
    study = Study(overrides=("iterations=90", "channels=8", "iterations=100", "iterations=50"))
    assert study.overrides == ("channels=8", "iterations=50")


def test_lambda_may_be_zero_and_a_whole_number_may_stand_for_a_float():
    study = Study(profile="smoke", overrides=("l1_weight=0",))
    assert pipeline.method_config(study, "G1+D").l1_weight == 0.0
    profile = dataclasses.replace(configs.PROFILES["smoke"], adversarial={"l1_weight": 0.0})
    setting = configs.SETTINGS["market1501"]
    assert models.find("G1+D").configure(setting, profile).l1_weight == 0.0


def test_an_override_changes_the_keys_of_what_it_touches_alone():
    plain = Study(profile="smoke")
    one = Study(profile="smoke", overrides=("G1-L1.channels=8",))
    for name in ("G1-L1", "G1-HME-L1"):
        same = pipeline.train_step(plain, name).key == pipeline.train_step(one, name).key
        assert same == (name != "G1-L1")
        folders = {pipeline.train_step(study, name).folder for study in (plain, one)}
        assert (len(folders) == 1) == same
    assert pipeline.data_step(plain).key == pipeline.data_step(one).key
    judged = Study(profile="smoke", overrides=("keypoints.seed=1",))
    assert pipeline.train_step(judged, "G1-L1").folder == pipeline.train_step(plain, "G1-L1").folder
    for step in (pipeline.train_step, pipeline.score_step):
        name = "keypoints" if step is pipeline.train_step else "target"
        assert step(judged, name).key != step(plain, name).key


def test_a_profile_of_ones_own(tmp_path):
    file = tmp_path / "mine.toml"
    file.write_text('base = "smoke"\nchannels = 6\niterations = [8, 5]\n[data]\ntest_pairs = 5\n')
    study = Study(profile=str(file))
    assert study.name == "synthetic-market-mine" and "PROFILE=mine.toml" in study.command
    assert str(tmp_path) not in study.command
    assert pipeline.method_config(study, "G1+G2+D").iterations == 5
    assert pipeline.method_config(study, "G1-L1").channels == 6
    assert pipeline.data_config(study).test_pairs == 5
    assert pipeline.data_config(study).train_identities == 6  # as in smoke
    for name, text, words in (
        ("wide", "chanels = 6", "unknown field 'chanels'"),
        ("long", 'channels = "6"', "channels is '6'"),
        ("flat", "training = 3", "training is 3"),
        ("quick", "channels = 6", "needs a name"),
        ("torn", "channels = ", "cannot read the profile"),
        ("odd", 'base = "huge"', "unknown profile 'huge'"),
        ("two", 'base = ["quick"]', "base is .'quick'.; it must be of type str"),
        ("short", "iterations = [5]", r"iterations is \[5\]; write two whole numbers"),
        ("word", 'iterations = ["a", 3]', "write two whole numbers"),
    ):
        bad = tmp_path / f"{name}.toml"
        bad.write_text(text)
        with pytest.raises(UserError, match=words):
            Study(profile=str(bad))
    with pytest.raises(UserError, match="cannot read the profile"):
        Study(profile=str(tmp_path / "none.toml"))
    cases = (
        ("training", "warmpu = 0.1", "mine: unknown field 'warmpu'"),
        ("training", 'warmup = "a"', "mine: warmup is 'a'; it must be of type float"),
        ("training", "learning_rate = -1.0", "learning_rate is -1.0; choose from 0"),
        ("adversarial", 'l1_weight = "x"', "mine: l1_weight is 'x'; it must be of type float"),
        ("data", "foo = 3", "mine: data: unknown field 'foo'"),
        ("data", "height = 32", "mine: data: leave out height"),
        ("keypoint_network", "bar = 64", "mine: keypoint_network: unknown field 'bar'"),
        ("fashion", "foo = 1", "mine: fashion: unknown field 'foo'"),
    )
    for seed, (part, text, words) in enumerate(cases):  # what is cached has another seed
        file.write_text(f"[{part}]\n{text}\n")
        configs.load_profile.cache_clear()
        with pytest.raises(UserError, match=words):
            pipeline.check(Study(configs.drawn()[part == "fashion"], str(file), seeds=seed))
    for text in ("channels = 0", "batch = -2", "threads = -3"):
        file.write_text(text)
        configs.load_profile.cache_clear()
        with pytest.raises(UserError, match=f"{text.split()[0]} is {text.split()[-1]}; choose"):
            pipeline.check(Study(profile=str(file), seeds=len(text)))
