"""Claims on made-up scores with known effects; the pixel measures on made-up images."""

import csv
import io
import json

import numpy as np
import pandas as pd
import pytest

from pg2lib import models
from pg2lib.core.files import UserError
from pg2lib.evaluation import detail, statistics
from pg2lib.evaluation import difficulty as failures
from pg2lib.evaluation import score_row as evaluation
from pg2lib.evaluation.scores import SCORES
from pg2lib.evaluation.statistics import CANNOT, EQUAL, FAILS, HOLDS, LESS, MORE, verdict
from pg2lib.results import charts, claims, render, verdicts
from pg2lib.results.claims import Claim, compare

PEOPLE, PER_PERSON = 60, 4
FACTS = {"dataset": "synthetic-market", "profile": "quick", "seed": 3, "split": "by person.",
         "command": "make reproduce"}  # fmt: skip


# --- verdicts


@pytest.mark.parametrize(
    "effect, low, high, direction, margin, expected",
    [
        (0.02, 0.01, 0.03, MORE, 0, HOLDS),
        (0.02, -0.01, 0.05, MORE, 0, CANNOT),
        (0.02, 0.0, 0.05, MORE, 0, CANNOT),  # touching is not above
        (-0.02, -0.03, -0.01, MORE, 0, FAILS),
        (-0.02, -0.03, -0.01, LESS, 0, HOLDS),
        (0.02, 0.01, 0.03, LESS, 0, FAILS),
        (-0.02, -0.05, 0.01, LESS, 0, CANNOT),
        (0.02, 0.01, 0.03, MORE, 0.02, CANNOT),
        (0.02, 0.01, 0.03, MORE, 0.05, FAILS),
        (-0.09, -0.10, -0.08, LESS, 0.05, HOLDS),
        (-0.02, -0.03, -0.01, LESS, 0.05, FAILS),
        (0.01, -0.01, 0.02, EQUAL, 0.02, HOLDS),  # the margin itself is within
        (0.01, -0.01, 0.03, EQUAL, 0.02, CANNOT),
        (0.04, 0.03, 0.05, EQUAL, 0.02, FAILS),
        (-0.04, -0.05, -0.03, EQUAL, 0.02, FAILS),
        (0.0, -0.5, 0.5, EQUAL, 0.02, CANNOT),  # no evidence is not evidence of none
        (0.0, 0.0, 0.0, EQUAL, 0.0, CANNOT),  # an interval of width zero measured nothing
        (0.02, 0.02, 0.02, MORE, 0, CANNOT),
        (0.02, float("nan"), float("nan"), MORE, 0, CANNOT),
        (float("nan"), float("nan"), float("nan"), EQUAL, 1, CANNOT),
    ],
)
def test_a_verdict_is_where_the_interval_lies(effect, low, high, direction, margin, expected):
    assert verdict(effect, low, high, direction, margin, [effect, effect]) == expected


def test_less_mirrors_more():
    random = np.random.default_rng(0)
    for _ in range(200):
        low, effect, high = np.sort(random.normal(0, 1, 3))
        margin = abs(random.normal())
        mirrored = verdict(-effect, -high, -low, LESS, margin)
        assert verdict(effect, low, high, MORE, margin) == mirrored


def test_an_unknown_direction_is_refused():
    with pytest.raises(ValueError, match="sideways"):
        verdict(0, 0, 0, "sideways")


def test_all_parts_of_a_claim_must_hold_and_one_can_refute_it():
    assert verdicts.combined([HOLDS, HOLDS]) == HOLDS
    assert verdicts.combined([HOLDS, CANNOT]) == CANNOT
    assert verdicts.combined([HOLDS, CANNOT, FAILS]) == FAILS
    assert verdicts.combined([]) == CANNOT


# --- the registry


def test_every_claim_can_be_asked():
    names = [claim.name for claim in claims.CLAIMS]
    assert len(set(names)) == len(names) >= 20
    rows = {*models.METHODS, "condition", "target"}
    for claim in claims.CLAIMS:
        assert claim.comparisons and claim.half in (None, *render.HALVES)
        for c in claim.comparisons:
            assert c.score in SCORES and set(c.rows) <= rows
            assert c.how in claims.WAYS
            assert c.direction in (MORE, LESS, EQUAL)
            assert c.margin >= c.measure.least  # what a table cannot show is no effect


def test_every_way_has_an_effect():
    assert set(claims.WAYS) == set(verdicts.EFFECTS)


def test_every_ablation_is_asked_about_and_compared_with_its_own_row():
    asked = {
        frozenset(c.rows)
        for claim in claims.CLAIMS
        if claim.needs_ablation
        for c in claim.comparisons
    }
    for row in map(models.find, models.ablations()):
        assert frozenset((row.name, row.against)) in asked


def test_rows_of_main_and_ablations():
    assert set(models.rows()) <= set(claims.rows_of())
    assert not set(models.ablations()) & set(claims.rows_of())
    assert set(models.ablations()) < set(claims.rows_of(ablations=True))
    assert "G1-CE-L1" not in claims.rows_of(ablations=True)
    assert claims.scores_of("G2-lambda-small+D") == {"artefacts"}


# --- effects on made-up scores


def made_up(seed=0, half="market1501", **shifts):
    """Evidence of rows whose mask-SSIM is 0.5 + shift, with much scatter per pair in common."""
    random = np.random.default_rng(seed)
    count = PEOPLE * PER_PERSON
    base = pd.DataFrame(
        {
            "condition": [f"a{k}" for k in range(count)],
            "target": [f"b{k}" for k in range(count)],
            "identity": np.repeat([f"{k:04}" for k in range(PEOPLE)], PER_PERSON),
            "mask_ssim": 0.5 + random.normal(0, 0.1, count),
            "target_gradient": random.uniform(1, 2, count),
        }
    )
    pairs = {
        row.replace("_", "-"): base.assign(
            mask_ssim=base.mask_ssim + shift + random.normal(0, 0.01, count)
        )
        for row, shift in shifts.items()
    }
    context = pd.DataFrame(
        {"clutter": random.permutation(count) / count, "rare pose": random.random(count) < 0.1}
    )
    return verdicts.Evidence("made-up", "quick", half, pairs, {}, {}, context)


def one(*comparisons, **others):
    return Claim("name", "4.2", "it is so", comparisons, **others)


def ask(evidence, names, direction, margin=None, how="rows", sibling=None, row="a", against="b"):
    claim = one(*compare(names, row, against, direction, margin, how))
    return verdicts.evaluate_claim(claim, evidence, sibling)


def test_an_effect_is_the_paired_difference_over_people():
    evidence = made_up(a=0.02, b=0.0)
    result = ask(evidence, "mask_ssim", MORE)
    (finding,) = result.findings
    a, b = evidence.pairs["a"], evidence.pairs["b"]
    expected = statistics.paired_difference(a.mask_ssim, b.mask_ssim, a.identity)
    assert (finding.effect, finding.low, finding.high) == pytest.approx(expected)
    assert finding.effect == pytest.approx(0.02, abs=0.003)
    assert result.verdict == HOLDS and result.made_at == "made-up-quick"
    assert result.why == "Mask-SSIM of a is higher, as claimed."
    assert ask(evidence, "mask_ssim", LESS).verdict == FAILS
    assert ask(evidence, "mask_ssim", LESS).why.endswith("is higher, against the claim.")
    assert ask(evidence, "mask_ssim", EQUAL, 0.03).verdict == HOLDS
    assert ask(evidence, "mask_ssim", EQUAL, 0.01).verdict == FAILS
    assert ask(made_up(a=0.0, b=0.0), "mask_ssim", MORE).verdict == CANNOT


def test_rows_that_are_alike_refute_a_claim_of_more():
    evidence = made_up(a=0.0)
    evidence.pairs["b"] = evidence.pairs["a"].assign(mask_ssim=lambda t: t.mask_ssim - 1e-5)
    result = ask(evidence, "mask_ssim", MORE)
    assert result.verdict == FAILS and result.why == "Mask-SSIM of a is not higher."
    assert ask(evidence, "mask_ssim", EQUAL, 0.02).verdict == HOLDS


def test_the_pose_score_counts_only_where_it_tells_poses_apart():
    evidence = made_up(a=0.0, b=0.0, condition=0.0, target=0.0)
    for row, score in {"a": 0.8, "b": 0.6, "condition": 0.3, "target": 0.9}.items():
        evidence.pairs[row] = evidence.pairs[row].assign(pckh=score, joints=12)
    assert ask(evidence, "pckh", MORE).verdict == HOLDS
    evidence.pairs["condition"] = evidence.pairs["condition"].assign(pckh=0.8)
    result = ask(evidence, "pckh", MORE)
    assert result.verdict == CANNOT and "hardly tells" in result.why


def test_a_score_by_itself():
    (finding,) = ask(made_up(a=0.02), "mask_ssim", MORE, against=None).findings
    assert finding.effect == pytest.approx(0.52, abs=0.02)


def test_sharpness_is_weighted_as_in_table_1():
    evidence = made_up(a=0.0, b=0.0)
    for row, values in (("a", 0.4), ("b", 0.2)):
        table = evidence.pairs[row]
        evidence.pairs[row] = table.assign(sharpness=values * np.where(table.index < 40, 3.0, 1.0))
    weights = evidence.pairs["a"].target_gradient
    gain = np.where(np.arange(len(weights)) < 40, 0.6, 0.2)
    (finding,) = ask(evidence, "sharpness", MORE).findings
    assert finding.effect == pytest.approx((gain * weights).sum() / weights.sum())


def test_what_is_not_there_cannot_be_told():
    evidence = made_up(a=0.02, b=0.0)
    for names, row, how, words in (
        ("pckh", "a", "rows", "no PCKh among the scores of a"),
        ("mask_ssim", "c", "rows", "c is not scored"),
        ("inception", "a", "splits", "no Inception weights"),
    ):
        result = ask(evidence, names, MORE, how=how, row=row)
        assert result.verdict == CANNOT and words in result.why
        assert result.findings[0].interval == "not measured"
    evidence.pairs["a"]["pckh"] = np.nan  # measured in name only
    evidence.pairs["b"]["pckh"] = 0.5
    assert ask(evidence, "pckh", MORE).findings[0].interval == "not measured"
    # what is measured can still refute, but not prove
    assert ask(evidence, "mask_ssim pckh", MORE).verdict == CANNOT
    assert ask(evidence, "mask_ssim pckh", LESS).verdict == FAILS


def test_rows_scored_on_other_pairs_are_refused():
    evidence = made_up(a=0.02, b=0.0)
    evidence.pairs["b"] = evidence.pairs["b"].iloc[::-1].reset_index(drop=True)
    with pytest.raises(UserError, match="a and b were scored on different pairs"):
        ask(evidence, "mask_ssim", MORE)


def test_one_person_leaves_no_interval():
    evidence = made_up(a=0.02, b=0.0)
    for row, table in evidence.pairs.items():
        evidence.pairs[row] = table.assign(identity="0001")
    result = ask(evidence, "mask_ssim", MORE)
    assert result.verdict == CANNOT and "no interval" in result.why


def test_the_gain_on_cluttered_against_plain_backgrounds():
    evidence = made_up(a=0.0, b=0.0)
    clutter = evidence.context.clutter.to_numpy()
    table = evidence.pairs["a"]
    evidence.pairs["a"] = table.assign(mask_ssim=table.mask_ssim + 0.05 * (clutter > 0.6))
    result = ask(evidence, "mask_ssim", MORE, how="clutter")
    gain = (evidence.pairs["a"].mask_ssim - evidence.pairs["b"].mask_ssim).to_numpy()
    low, high = np.quantile(clutter, [1 / 3, 2 / 3])
    by_hand = gain[clutter >= high].mean() - gain[clutter <= low].mean()
    assert result.findings[0].effect == pytest.approx(by_hand)
    assert result.verdict == HOLDS and "on cluttered backgrounds is higher" in result.why
    flat = ask(made_up(a=0.05, b=0.0), "mask_ssim", MORE, how="clutter")
    assert flat.verdict == CANNOT  # it helps everywhere alike


def test_rare_poses_against_the_others():
    evidence = made_up(a=0.0)
    rare, table = evidence.context["rare pose"], evidence.pairs["a"]
    evidence.pairs["a"] = table.assign(mask_ssim=table.mask_ssim - 0.2 * rare)
    result = ask(evidence, "mask_ssim", LESS, how="rare", against=None)
    values = evidence.pairs["a"].mask_ssim
    by_hand = values[rare].mean() - values[~rare].mean()
    assert result.findings[0].effect == pytest.approx(by_hand) and result.verdict == HOLDS
    evidence.context["rare pose"] = False
    assert "too few pairs" in ask(evidence, "mask_ssim", LESS, how="rare", against=None).why


def test_two_data_sets_are_two_samples():
    street, studio = made_up(a=0.05, b=0.0), made_up(5, "deepfashion", a=0.01, b=0.0)
    result = ask(street, "mask_ssim", MORE, how="halves", sibling=studio)
    (finding,) = result.findings
    assert finding.effect == pytest.approx(0.04, abs=0.005) and result.verdict == HOLDS
    assert result.made_at == "made-up-quick, made-up-quick"
    # the variances add up, whichever of the two is the study at hand
    widths = [
        np.subtract(*statistics.paired_difference(
            e.pairs["a"].mask_ssim, e.pairs["b"].mask_ssim, e.pairs["a"].identity)[:0:-1])
        for e in (street, studio)
    ]  # fmt: skip
    assert finding.high - finding.low == pytest.approx(np.hypot(*widths), rel=0.02)
    other = ask(studio, "mask_ssim", MORE, how="halves", sibling=street)
    assert other.findings[0].effect == finding.effect
    for nobody in (None, street):
        assert "the other data set" in ask(street, "mask_ssim", MORE, how="halves",
                                           sibling=nobody).why  # fmt: skip


def test_inception_scores_are_compared_by_their_spread_over_splits():
    evidence = made_up(a=0.0, b=0.0)
    for row, mean in (("a", 3.4), ("b", 3.0)):
        score = {"mean": mean, "std": 0.3, "splits": 9}
        evidence.summaries[row] = {"scores": {"inception": score, "mask_inception": None}}
    (finding,) = ask(evidence, "inception", MORE, how="splits").findings
    half = 1.96 * (2 * 0.1**2) ** 0.5
    expected = (0.4, 0.4 - half, 0.4 + half)
    assert (finding.effect, finding.low, finding.high) == pytest.approx(expected)
    assert ask(evidence, "mask_inception", MORE, how="splits").verdict == CANNOT


def made_up_logs(first, second, noise=0.01, count=100):
    """Logs of two stages that fall exponentially from a start to an end."""
    random, steps = np.random.default_rng(0), np.arange(1, count + 1)
    common = random.normal(0, noise, count)
    logs = {}
    for stage, (start, end, pace) in {"G1+G2+D": first, "G2-image+D": second}.items():
        values = end + (start - end) * np.exp(-steps / pace) + common
        logs[stage] = [{"step": int(s), "l1": float(v)} for s, v in zip(steps, values)]
    return logs


def converges(logs, names="l1_gap head_start"):
    evidence = made_up()
    evidence.logs.update(logs)
    return ask(evidence, names, LESS, how="curves", row="G1+G2+D", against="G2-image+D")


def test_a_head_start_shows_in_both_measures_of_speed():
    result = converges(made_up_logs((0.3, 0.25, 10), (0.8, 0.25, 20)))
    gap, start = result.findings
    assert result.verdict == HOLDS
    steps = np.arange(1, 101)
    by_hand = (0.05 * np.exp(-steps / 10) - 0.55 * np.exp(-steps / 20)).mean()
    assert gap.effect == pytest.approx(by_hand)  # the noise is the same in both and cancels
    # 0.25 + 0.55 exp(-t / 20) = 1.05 * 0.254 at t = 20 ln(0.55 / 0.0165), the other 20 ln ... less
    assert start.effect == pytest.approx(-(20 * np.log(0.55 / 0.0165) - 11) / 100, abs=0.08)


def test_alike_curves_have_no_head_start_and_noisy_ones_decide_nothing():
    same = converges(made_up_logs((0.5, 0.2, 10), (0.5, 0.2, 10)))
    assert same.verdict == CANNOT  # an interval of width zero
    noisy, random = made_up_logs((0.5, 0.2, 10), (0.5, 0.2, 10)), np.random.default_rng(1)
    for record in noisy["G1+G2+D"]:
        record["l1"] += random.normal(0, 0.1)
    assert converges(noisy, "l1_gap").verdict == CANNOT
    worse = converges(made_up_logs((0.9, 0.4, 30), (0.5, 0.2, 10)))
    assert worse.verdict == FAILS
    assert "a training log is missing" in converges({}).why


def test_the_level_is_one_that_both_reach():
    steps = np.linspace(0, 1, 101)
    falling = np.stack([1 - 0.5 * steps, 1 - 0.9 * steps], 1)
    # the higher end: 0.5225 on average over the last tenth, 5 % above it is 0.549
    first, second = 0.9, 0.5
    assert verdicts.head_start(falling) == pytest.approx(first - second, abs=0.02)


# --- judging and writing


def test_claims_of_the_other_half_are_left_out_and_ablations_are_looked_up_where_they_are():
    main, small = made_up(a=0.02, b=0.0), made_up(1, **{"G1_poseMaskLoss": 0.02,
                                                        "G1_noResidual": 0.0})  # fmt: skip
    listed = (
        one(*compare("mask_ssim", "a", "b", MORE)),
        one(*compare("mask_ssim", "a", "b", MORE), half="deepfashion"),
        one(*compare("mask_ssim", "G1-poseMaskLoss", "G1-noResidual", MORE)),
    )
    assert [r.verdict for r in verdicts.evaluate_claims(main, small, claims=listed)] == [
        HOLDS,
        HOLDS,
    ]
    assert [r.verdict for r in verdicts.evaluate_claims(main, claims=listed)] == [HOLDS, CANNOT]
    studio = made_up(half="deepfashion", a=0.02, b=0.0)
    assert len(verdicts.evaluate_claims(studio, claims=listed)) == 3


def test_without_any_evidence_every_claim_is_open(tmp_path):
    results = verdicts.evaluate_claims(made_up())
    assert len(results) > 20 and {r.verdict for r in results} == {CANNOT}
    render.write(tmp_path, "claims", verdicts.claims_table(results, FACTS))
    assert f"0 hold, 0 do not hold and {len(results)} cannot be decided" in (
        tmp_path / "claims.md"
    ).read_text(encoding="utf-8")


@pytest.fixture
def results():
    evidence = made_up(a=0.02, b=0.0)
    names = ("mask_ssim pckh", "mask_ssim", "mask_ssim")
    directions = (MORE, LESS, MORE)
    listed = [one(*compare(n, "a", "b", d)) for n, d in zip(names, directions)]
    return verdicts.evaluate_claims(evidence, claims=listed)


def test_every_claim_is_a_line_of_the_markdown(results, tmp_path):
    render.write(tmp_path, "claims", verdicts.claims_table(results, FACTS))
    text = (tmp_path / "claims.md").read_text(encoding="utf-8")
    lines = [line.strip("| ").split(" | ") for line in text.splitlines() if line[:3] in
             ("| 1", "| 2", "| 3")]  # fmt: skip
    assert [line[5] for line in lines] == [CANNOT, FAILS, HOLDS]
    assert lines[0][1:4] == ["it is so", "4.2", "mask-SSIM, a − b: > 0.001<br>PCKh, a − b: > 0.001"]
    shown = results[0].findings[0].interval
    assert lines[0][4] == f"{shown}<br>not measured" and lines[0][6] == "made-up-quick"
    for words in ("Of 3 claims 1 hold, 1 do not hold and 1 cannot be decided.", "seed 3",
                  "Split: by person.", "`make reproduce`", "user study"):  # fmt: skip
        assert words in text


def test_the_files_say_the_same(results, tmp_path):
    paths = render.write(tmp_path, "claims", verdicts.claims_table(results, FACTS))
    assert sorted(p.name for p in paths) == [f"claims.{x}" for x in ("csv", "json", "md", "tex")]
    table = json.loads((tmp_path / "claims.json").read_text(encoding="utf-8"))
    assert render.markdown(table) == (tmp_path / "claims.md").read_text(encoding="utf-8")
    lines = list(csv.DictReader(io.StringIO((tmp_path / "claims.csv").read_text("utf-8"))))
    assert [line["score"] for line in lines] == ["mask_ssim", "pckh", "mask_ssim", "mask_ssim"]
    assert float(lines[0]["effect"]) == pytest.approx(results[0].findings[0].effect, rel=1e-5)
    assert lines[1]["effect"] == "" and table["claims"][0]["comparisons"][1]["effect"] is None


def test_nothing_is_written_when_something_cannot_be(results, tmp_path):
    (tmp_path / "claims.md").write_text("old")
    with pytest.raises(KeyError):
        render.write(tmp_path, "claims", verdicts.claims_table(results, {"dataset": "d"}))
    assert [p.name for p in tmp_path.iterdir()] == ["claims.md"]
    assert (tmp_path / "claims.md").read_text() == "old"


# --- what is gathered


def test_a_study_is_gathered_from_its_folders(data, tmp_path):
    folders = {}
    for row in ("condition", "target"):
        folders[row] = tmp_path / row
        evaluation.evaluate_row(row, None, data, folders[row])
    logs = {"G2+D": [{"step": 1, "l1": 0.5}]}
    found = verdicts.gather(data, folders, logs, "smoke", "market1501")
    assert found.name == f"{data.name}-smoke" and found.logs == logs
    assert found.summaries["target"]["scores"]["ssim"]["mean"] == 1
    assert found.pairs["target"].detail.to_numpy() == pytest.approx(1)
    assert (found.pairs["condition"].detail < 0.9).mean() > 0.5
    assert "colour" in found.pairs["condition"]  # which `coarse-structure` asks for
    first = found.pairs["target"].iloc[0]
    assert (first.condition, first.target) == tuple(data.names[k] for k in data.test_pairs[0])
    # clutter by hand: both images of the first pair, each outside its own pose mask
    outside = [
        detail.gradient_energy(
            data.images[index][None],
            ~evaluation.pair_masks(data, np.array([[index, index]])),
        )
        for index in data.test_pairs[0]
    ]
    assert found.context.clutter[0] == pytest.approx(np.mean(outside))
    rare = failures.causes(data, data.test_pairs)["rare pose"]
    assert found.context["rare pose"].tolist() == rare.tolist()


# --- measures of images


@pytest.fixture
def images():
    """Real images with fine and coarse structure, and the masks of people in them."""
    random = np.random.default_rng(0)
    coarse = random.integers(60, 190, (6, 4, 2, 3)).repeat(16, 1).repeat(16, 2)
    real = (coarse + random.normal(0, 20, (6, 64, 32, 1))).clip(0, 255).astype(np.uint8)
    masks = np.zeros((6, 64, 32), bool)
    masks[:, 10:55, 6:26] = True
    return real, masks


ALL = ("detail", "artefacts", "colour", "body_ssim", "blur_gain")


def measured(made, real, masks, names=ALL):
    return detail.measures(made, real, np.arange(len(real)), masks, names, chunk=4)


def test_the_real_image_has_all_detail_and_no_artefacts(images):
    real, masks = images
    table = measured(real, *images)
    assert list(table.index) == list(range(6)) and table.detail.to_numpy() == pytest.approx(1)
    for name in ("artefacts", "colour"):
        assert table[name].to_numpy() == pytest.approx(0, abs=1e-9)
    assert (table.blur_gain < -0.1).all()


def test_blur_loses_detail_and_noise_gains_artefacts(images):
    real, masks = images
    random = np.random.default_rng(1)
    noise = real + random.normal(0, 30, real.shape[:3])[..., None]
    noisy = noise.clip(0, 255).astype(np.uint8)
    plain, soft, rough = (measured(x, *images) for x in (real, detail.blurred(real), noisy))
    assert (soft.detail < 0.6).all() and (soft.artefacts < 0.2).all()
    assert (rough.artefacts > 0.5).all()
    assert rough.detail.mean() == pytest.approx(1, abs=0.2)
    assert rough.blur_gain.mean() > plain.blur_gain.mean()


def test_detail_by_hand(images):
    """Against plain NumPy loops over the windows of one image."""
    real, masks = images
    made = np.random.default_rng(2).integers(0, 256, real.shape, np.uint8)
    luma = lambda x: x @ np.array([0.2125, 0.7154, 0.0721]) / 255  # noqa: E731
    fine, inside = [], masks[0]
    for image in (made[0], real[0]):
        y, out = luma(image), np.zeros((64, 32))
        for r, c in np.argwhere(inside):
            window = slice(max(r - 2, 0), r + 3), slice(max(c - 2, 0), c + 3)
            out[r, c] = y[r, c] - y[window][inside[window]].mean()
        fine.append(out[inside])
    h, true = fine
    detail = h @ true / (true @ true)
    table = measured(made, *images).iloc[0]
    assert table.detail == pytest.approx(detail)
    rest = h - detail * true
    assert table.artefacts == pytest.approx(rest @ rest / (true @ true))
    assert table.target_detail == pytest.approx(true @ true)


def test_colour_error_sees_the_colour_and_not_the_pattern(images):
    real, masks = images
    base = real.astype(int).clip(40, 200)
    checks = 20 * (np.indices((64, 32)).sum(0) % 2 * 2 - 1)[..., None]
    real = base.astype(np.uint8)
    everywhere = np.ones_like(masks)
    pattern = measured((base + checks).astype(np.uint8), real, everywhere)
    tint = measured((base + [20, 0, 0]).astype(np.uint8), real, everywhere)
    assert pattern.colour.to_numpy() == pytest.approx(0, abs=1e-9)
    assert tint.colour.to_numpy() == pytest.approx(20 / 3)


def test_only_what_is_asked_for_and_only_inside_the_mask(images):
    real, masks = images
    assert list(measured(real, *images, ["colour", "ssim"])) == ["colour"]
    outside = np.where(masks[..., None], real, 255 - real)
    for name, value in measured(outside, *images, ALL[:4]).mean().items():
        same = measured(real, *images, ALL[:4])[name].mean()
        assert value == pytest.approx(same, abs=1e-9), name
    table = measured(real, real, np.zeros_like(masks), ["detail", "colour"])
    assert table[["detail", "colour"]].isna().to_numpy().all()


# --- figures


def texts(axes):
    return [text.get_text() for text in axes.texts]


def test_the_forest_has_a_line_and_a_word_per_measured_effect(results):
    figure = charts.forest(results)
    (axes,) = figure.axes  # one unit
    labels = [label.get_text() for label in axes.get_yticklabels()]
    assert labels == [f"mask-SSIM, a − b  ({k})" for k in (1, 2, 3)]  # PCKh was not measured
    assert texts(axes) == [HOLDS, FAILS, HOLDS]
    low, high = axes.get_xlim()
    finding = results[0].findings[0]
    assert low < 0 < finding.low < finding.high < high
    assert len({look for look in charts.LOOKS.values()}) == 3


def test_units_and_ranges_have_their_own_panels():
    evidence = made_up(a=0.02, b=0.0, target=0.5)
    for table in evidence.pairs.values():
        table["colour"] = 20.0
    listed = [
        one(*compare("mask_ssim colour", "a", "b", EQUAL, 2.0)),
        one(*compare("mask_ssim", "a", "target", LESS)),
        one(*compare("mask_ssim", "a", "b", MORE)),
    ]
    figure = charts.forest(verdicts.evaluate_claims(evidence, claims=listed))
    titles = [axes.get_xlabel() for axes in figure.axes]
    assert titles == ["SSIM", "grey levels", "SSIM, against a reference row"]
    assert [len(texts(axes)) for axes in figure.axes] == [2, 1, 1]


def test_nothing_measured_is_nothing_to_draw():
    with pytest.raises(UserError, match="no claim has a measured effect"):
        charts.forest(verdicts.evaluate_claims(made_up()))


def test_the_convergence_figure_says_when_each_curve_is_there():
    logs = made_up_logs((0.35, 0.25, 10), (0.85, 0.25, 20), noise=0)
    figure = charts.convergence(logs, ("map", "image"))
    labels = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    # by hand: 0.25 + 0.1 exp(-t / 10) and 0.25 + 0.6 exp(-t / 20) against 1.05 * 0.2554
    assert labels == ["map: reached after 18 iterations", "image: reached after 71 iterations"]
