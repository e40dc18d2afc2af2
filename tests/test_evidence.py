"""Which studies and rows the evidence for the claims is taken from."""

import pytest

from pg2lib.results import claims, effects
from pg2lib.workflow import evidence, pipeline, plan


@pytest.fixture
def asked(monkeypatch):
    """(study name, rows) of every study that is measured."""
    calls = []
    monkeypatch.setattr(evidence, "measured", lambda study, rows: calls.append((study.name, rows)))
    return calls


def test_a_small_study_is_its_own_ablation_study(asked, monkeypatch):
    monkeypatch.setattr(plan, "sibling", lambda study: None)
    evidence.of_study(pipeline.Study(profile="quick"))
    [(name, rows)] = asked
    assert name == "synthetic-market-quick" and len(rows) == len(set(rows))
    assert set(rows) == {*claims.rows_of(), *claims.rows_of(ablations=True)}


def test_a_large_study_takes_ablations_from_quick_and_a_scored_sibling(asked, monkeypatch):
    other = pipeline.Study("synthetic-fashion", "lite")
    monkeypatch.setattr(plan, "sibling", lambda study: other)
    evidence.of_study(pipeline.Study(profile="lite"))
    assert asked == [
        (other.name, claims.rows_of(how="halves")),
        ("synthetic-market-lite", claims.rows_of()),
        ("synthetic-market-quick", claims.rows_of(ablations=True)),
    ]


def test_every_trained_row_has_its_log_and_every_row_a_folder_per_training(monkeypatch):
    for name in ("data", "evaluate", "training_log"):

        def called(study, *rows, name=name):
            return (name, study.seed, *rows)

        monkeypatch.setattr(pipeline, name, called)
    monkeypatch.setattr(effects, "gather", lambda *arguments: arguments)
    study = pipeline.Study(profile="quick", seeds=(0, 1))
    _, folders, logs, profile, half, _, seen = evidence.measured(study, ["target", "G1-L1"])
    assert [call[:3] for call in folders["target"]] == [("evaluate", 0, "target")]
    assert [call[:3] for call in folders["G1-L1"]] == [("evaluate", k, "G1-L1") for k in (0, 1)]
    assert logs == {"G1-L1": [("training_log", k, "G1-L1") for k in (0, 1)]}
    assert (profile, half, seen) == ("quick", "market1501", {})
