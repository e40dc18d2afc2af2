"""What the page on scaling makes of points whose law is known."""

import numpy as np
import pytest

from benchmarks import scaling

THERE = 128, 352_000


def points(law, noise=0.0, seed=0):
    random = np.random.default_rng(seed)
    return [
        {"channels": width, "pairs_seen": 8 * steps, "pflops": 1.0,
         "scores": dict.fromkeys(scaling.FITTED, law(width, 8 * steps) + random.normal(0, noise))}
        for width, steps in scaling.POINTS
    ]  # fmt: skip


def test_a_plane_over_logarithms_is_found_again():
    def law(width, pairs):
        return 0.1 + 0.01 * np.log2(width) + 0.02 * np.log2(pairs)

    found = scaling.fits(points(law), "ssim", THERE)["line"]
    assert found["there"] == pytest.approx(law(*THERE), abs=1e-9)
    assert found["missed_longest"] == pytest.approx([0] * 4, abs=1e-9)
    inside = []
    for seed in range(200):
        width, pairs, value = scaling.columns(points(law, 0.005, seed), "ssim")
        predict, half = scaling.line(width, pairs, value)
        [there], ends = predict(*np.array([THERE]).T), half(*THERE)
        inside.append(abs(there - law(*THERE)) < ends)
        assert ends > 0.005
    # 95 % and more: the interval is of a new training there, and this is the law without noise
    assert np.mean(inside) > 0.93


def test_a_score_with_a_limit_is_found_again():
    def law(width, pairs):
        return 0.5 - 0.05 * (width / 16) ** -0.7 - 0.1 * (pairs / 16_000) ** -0.4

    both = scaling.fits(points(law), "ssim", THERE)
    assert both["power"]["there"] == pytest.approx(law(*THERE), abs=2e-3)
    assert both["line"]["there"] > law(*THERE) + 0.02  # which knows no limit


def test_the_page_shows_every_point_and_both_guesses():
    made = points(lambda width, pairs: 0.3 + width / 1_000 + pairs / 1e7)
    record = {
        "command": "make scaling", "dataset": "synthetic-market", "seed": 0, "size": [64, 32],
        "pairs": 1_200, "points": made, "paper": THERE,
        "fits": {score: scaling.fits(made, score, THERE) for score in scaling.FITTED},
    }  # fmt: skip
    text = scaling.page([record])
    assert text.count("\n| 16 |") == 4 and "| 32 | 44,800 | 1,000 | 0.336 |" in text
    assert "128 channels and 352,000 pairs" in text and "64x32, 1,200 test pairs" in text
