"""Table 1 from made-up summaries; the four files against each other."""

import csv
import io
import json
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pg2lib.core.files import UserError
from pg2lib.evaluation import statistics
from pg2lib.results import render, tables

ROWS = ("G1-CE-L1", "G1-HME-L1", "G1-L1", "G1-poseMaskLoss", "G1+D", "G1+G2+D")
MARKET = {
    row: {"ssim": 0.2 + k / 100, "inception": 3.0, "mask_ssim": 0.8, "mask_inception": 2.455}
    for k, row in enumerate(ROWS)
}
DEEPFASHION = {row: {"ssim": 0.735, "inception": 2.427} for row in ROWS}
FACTS = {
    "half": "market1501", "profile": "quick", "seed": 3, "split": "held-out people, 5 % of all",
    "command": "pg2 reproduce DATASET=synthetic-market", "drawn": True,
}  # fmt: skip


def summary(row, mean=0.25, inception=None, **changes):
    value = {"mean": mean, "low": mean - 0.0123, "high": mean + 0.0456}
    return {
        "row": row, "dataset": "synthetic-market", "height": 128, "width": 64, "pairs": 1234,
        "identities": 60, "preset": "pg2", "mask_from": "target", "mask_variant": "released",
        "scores": {"ssim": value, "mask_ssim": value, "sharpness": value,
                   "inception": inception, "mask_inception": None},
    } | changes  # fmt: skip


def alone(rows):
    """Each row trained once."""
    return {row: [found] for row, found in rows.items()}


@pytest.fixture
def table():
    every = {row: summary(row, 0.3 + k / 50) for k, row in enumerate(reversed(ROWS))}
    every = {"target": summary("target", 1.0)} | every | {"condition": summary("condition", 0.1)}
    every["G1-L1"]["scores"]["inception"] = {
        "mean": 3.14159, "std": 0.25, "splits": 7, "low": 3.0, "high": 3.3,
    }  # fmt: skip
    return tables.table1(alone(every), MARKET, FACTS)


@pytest.mark.parametrize("half, name, lengths", [
    ("market1501", "Market-1501", "22,000 and 14,000"),
    ("deepfashion", "DeepFashion", "30,000 and 20,000"),
])  # fmt: skip
def test_a_table_of_photographs_names_the_papers_own_test_and_training(half, name, lengths):
    printed = {"market1501": MARKET, "deepfashion": DEEPFASHION}[half]
    facts = FACTS | {"half": half, "drawn": False}
    table = tables.table1(alone({"G1-L1": summary("G1-L1", dataset=half)}), printed, facts)
    [note] = [text for text in table["notes"] if "The paper tests on" in text]
    assert f"12,800 pairs of {name}'s test half and trains for {lengths} iterations" in note


def test_rows_stand_in_the_papers_order_between_the_references(table):
    assert [row["row"] for row in table["rows"]] == ["condition", *ROWS, "target"]
    few = tables.table1({r: [summary(r)] for r in ("target", "G1+D")}, MARKET, FACTS)
    assert [row["row"] for row in few["rows"]] == ["G1+D", "target"]


def test_rows_that_the_paper_does_not_print_have_empty_cells():
    more = tables.table1({r: [summary(r)] for r in ("G2-fc+D", "G1+D")}, MARKET, FACTS)
    assert [row["row"] for row in more["rows"]] == ["G1+D", "G2-fc+D"]
    assert set(more["rows"][1]["paper"].values()) == {None}
    assert "| G2-fc+D | 0.250 [0.238, 0.296] | — |" in render.markdown(more)


def test_every_number_reaches_the_markdown(table):
    text = render.markdown(table)
    lines = {line.split(" | ")[0][2:]: line for line in text.splitlines() if line[:2] == "| "}
    assert list(lines)[2:] == ["condition image, copied", *ROWS, "real target"]
    cells = [cell.strip() for cell in lines["G1-L1"].strip("|").split("|")]
    headings = [cell.strip() for cell in lines[""].strip("|").split("|")]
    assert dict(zip(headings[1:], cells[1:], strict=True)) == {
        "SSIM": "0.360 [0.348, 0.406]",
        "paper SSIM": "0.220",
        "mask-SSIM": "0.360 [0.348, 0.406]",
        "paper mask-SSIM": "0.800",
        "IS": "3.142 ± 0.250 [3.000, 3.300]",
        "paper IS": "3.000",
        "mask-IS": "no weights",
        "paper mask-IS": "2.455ᵃ",
        "sharpness": "0.360 [0.348, 0.406]",
        "PCKh": "not estimated",
    }
    assert "—" in lines["real target"] and "ᵃ" not in lines["G1+D"]
    for words in ("1,234 test pairs of 60 people", "preset pg2", "held-out people, 5 % of all.",
                  "profile quick", "this one training (seed 3)", "people only", "7 splits",
                  "synthetic-market at 128x64", "drawn by this project",
                  "`pg2 reproduce DATASET=synthetic-market`", "ᵃ printed for G1-CE-L1",
                  ):  # fmt: skip
        assert words in text


def test_the_files_can_be_made_again_from_the_json(table, tmp_path):
    paths = render.write(tmp_path, "table1", table)
    assert [p.name for p in paths] == ["table1.md", "table1.csv", "table1.tex", "table1.json"]
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(p.name for p in paths)
    read = json.loads((tmp_path / "table1.json").read_text(encoding="utf-8"))
    assert read == table
    for suffix, text in render.render(read).items():
        assert text == (tmp_path / f"table1{suffix}").read_text(encoding="utf-8")


def test_csv_holds_numbers_and_facts(table):
    lines = list(csv.DictReader(io.StringIO(render.render(table)[".csv"])))
    assert [line["row"] for line in lines] == ["condition", *ROWS, "target"]
    line = lines[3]
    assert (line["ssim"], line["ssim_low"], line["ssim_high"]) == ("0.36", "0.3477", "0.4056")
    assert (line["inception"], line["inception_std"]) == ("3.14159", "0.25")
    assert (line["inception_low"], line["inception_high"]) == ("3", "3.3")
    assert line["mask_inception"] == "no weights" and line["mask_inception_paper"] == "2.455"
    assert lines[0]["ssim_paper"] == "" and "sharpness_paper" not in line
    assert (line["pckh"], line["pckh_low"]) == ("not estimated", "")
    for fact in ("pairs", "identities", "preset", "split", "profile", "seed", "command"):
        assert all(line[fact] == str(table["facts"][fact]) for line in lines)
    assert lines[0]["seeds"] == "3" and "ssim_spread" not in line


def test_latex_is_well_formed(table):
    text = render.render(table)[".tex"]
    rows = [line for line in text.splitlines() if line.endswith(r"\\")]
    assert len(rows) == 9 and {line.count(" & ") for line in rows} == {10}
    assert text.count(r"\begin{") == text.count(r"\end{")
    bare = text.replace(r"\{", "").replace(r"\}", "")
    assert bare.count("{") == bare.count("}")
    assert r"2.455\textsuperscript{a}" in text and r"$\pm$ 0.250" in text
    assert r"5 \% of all" in text and not re.search(r"(?<!\\)[&%#_](?![ \n&]|needs)", text[40:])
    assert text.count(r"\midrule") == 1


def test_latex_escapes():
    assert render.escape_latex(r"a_b & 50% {x} \ ~^ $#") == (
        r"a\_b \& 50\% \{x\} \textbackslash{} \textasciitilde{}\textasciicircum{} \$\#"
    )


@pytest.mark.skipif(not shutil.which("pdflatex"), reason="no pdflatex")
def test_latex_compiles(table, tmp_path):
    document = r"\documentclass{article}\usepackage{booktabs,graphicx}\begin{document}"
    (tmp_path / "t.tex").write_text(document + render.render(table)[".tex"] + r"\end{document}")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "t.tex"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)


def test_real_data_and_the_other_half():
    real = tables.table1(
        {"G1-L1": [summary("G1-L1", dataset="deepfashion")]},
        DEEPFASHION,
        FACTS | {"half": "deepfashion", "drawn": False},
    )
    text = render.markdown(real)
    assert "drawn" not in text and "12,800 pairs" in text and "(DeepFashion)" in text
    assert "0.735ᵃ" in text and "2.427ᵃ" in text
    assert text.count("ᵃ") == 3 and "ᵇ" not in text


def test_a_printed_ssim_of_another_preset_is_marked():
    table = tables.table1({"G1-L1": [summary("G1-L1", preset="patn")]}, MARKET, FACTS)
    assert "Printed SSIM of G1-L1: by preset pg2, not comparable." in table["notes"]


def test_scores_that_could_not_be_computed():
    nothing = summary("G1-L1")
    nothing["scores"]["sharpness"] = {"mean": None, "low": None, "high": None}
    nothing["scores"]["ssim"] = {"mean": 0.5, "low": None, "high": None}
    made = tables.table1({"G1-L1": [nothing]}, MARKET, FACTS)
    assert "| 0.500 |" in render.markdown(made) and "| — |" in render.markdown(made)
    for text in render.render(made).values():
        assert "None" not in text and "nan" not in text.lower()


def test_both_halves_side_by_side(table, tmp_path):
    fashion = tables.table1(
        {row: [summary(row, 0.7, dataset="synthetic-fashion")] for row in (*ROWS, "target")},
        DEEPFASHION,
        FACTS | {"half": "deepfashion", "split": "the other split"},
    )
    made = tables.both_halves([table, fashion], "make reproduce DATASET=all")
    text = render.markdown(made)
    lines = [line.strip("| ").split(" | ") for line in text.splitlines() if line[:1] == "|"]
    cells = {line[0]: line[1:] for line in lines}
    assert [*cells][2:] == [*ROWS, "real target"]  # one table has no copied condition image
    market, fashion_name = "synthetic-market", "synthetic-fashion"  # not the paper's people
    header = [f"{market}: SSIM", "paper SSIM", f"{market}: mask-SSIM", "paper mask-SSIM",
              f"{market}: IS", "paper IS", f"{market}: mask-IS", "paper mask-IS",
              f"{fashion_name}: SSIM", "paper SSIM", f"{fashion_name}: IS", "paper IS"]  # fmt: skip
    real = made | {"facts": made["facts"] | {"market1501:dataset": "market1501"}}
    assert render.view(real).head[1] == "Market-1501: SSIM"
    assert "Beside the paper's DeepFashion: 1" in text and "synthetic-fashion at" in text
    assert lines[0] == header
    assert cells["G1-L1"] == [
        "0.360 [0.348, 0.406]", "0.220", "0.360 [0.348, 0.406]", "0.800",
        "3.142 ± 0.250 [3.000, 3.300]", "3.000", "no weights", "2.455ᵃ",
        "0.700 [0.688, 0.746]", "0.735ᵇ", "no weights", "2.427ᵇ",
    ]  # fmt: skip
    assert "the other split" in text and "DATASET=all" in text and "5 % of all" in text
    for path in render.write(tmp_path, "table1", made):
        assert path.exists()
    first = next(csv.DictReader(io.StringIO(render.render(made)[".csv"])))
    assert (first["deepfashion:ssim"], first["deepfashion:ssim_paper"]) == ("0.7", "0.735")
    assert first["deepfashion:split"] == "the other split"
    with pytest.raises(UserError, match="of the same half"):
        tables.both_halves([table, table], "")


def test_more_scores_of_any_rows(tmp_path):
    row = summary("G1-noResidual")
    row["scores"] |= {
        "pck": {"mean": 0.5, "low": 0.4, "high": 0.6}, "lpips": None,
        "fid": {"mean": 123.456, "low": None, "high": None},
        "kid": {"mean": 0.12345, "low": 0.1, "high": 0.2},
        "stripes": {"mean": 1.5, "low": 1.4, "high": 1.6}, "fixed_share": None,
    }  # fmt: skip
    made = tables.more_scores(alone({"G1-noResidual": row, "target": summary("target")}), FACTS)
    text = render.markdown(made)
    lines = [line.strip("| ").split(" | ") for line in text.splitlines() if line[:1] == "|"]
    assert dict(zip(["", *lines[0]], lines[2], strict=True)) == {
        "": "G1-noResidual",
        "PCK": "0.500 [0.400, 0.600]",
        "copied background": "not estimated",
        "copied body": "not estimated",
        "copied pose": "not estimated",
        "LPIPS": "no weights",
        "FID": "123.5",
        "KID": "0.1235 [0.1000, 0.2000]",
        "period-2 energy": "1.500 [1.400, 1.600]",
        "one picture": "one stage",
    }
    assert "the ceiling" in text
    paths = render.write(tmp_path, "more_scores", made)
    assert {path.name for path in paths} == {
        f"more_scores{suffix}" for suffix in (".md", ".csv", ".tex", ".json")
    }
    assert json.loads((tmp_path / "more_scores.json").read_text(encoding="utf-8")) == made


def several(row, means):
    """Summaries and tables of pairs of trainings with these means of SSIM."""
    tables_ = [
        pd.DataFrame({"condition": list("cdef"), "target": "t", "identity": list("aabc"),
                      "ssim": mean + np.array([0.1, 0.0, -0.1, 0.0])})
        for mean in means
    ]  # fmt: skip
    return [summary(row, mean) for mean in means], tables_


def test_several_trainings_of_a_row():
    made = {row: several(row, means) for row, means in
            {"G1-L1": (0.3, 0.34, 0.38), "G1+D": (0.2, 0.21), "target": (1,)}.items()}  # fmt: skip
    summaries = {row: found[0] for row, found in made.items()}
    pairs = {row: found[1] for row, found in made.items()}
    scores = [s["scores"] for s in summaries["G1-L1"]]
    for mean, found in zip((3.0, 3.2, 3.7), scores, strict=True):
        found["inception"] = {"mean": mean, "std": 0.1, "splits": 10, "low": 2.9, "high": 3.9}
        found["pckh"] = {"mean": mean, "low": 0, "high": 9}  # but not in the tables of pairs
    scores[1]["sharpness"] = None
    facts = {key: value for key, value in FACTS.items() if key != "seed"} | {"seeds": [4, 5, 6]}
    table = tables.table1(summaries, MARKET, facts, pairs)
    ours = {row["row"]: row["ours"] for row in table["rows"]}
    found = ours["G1-L1"]["ssim"]
    values = np.stack([frame.ssim for frame in pairs["G1-L1"]])
    low, high = statistics.interval(values, pairs["G1-L1"][0].identity)
    assert found.pop("by_seed") == pytest.approx([0.3, 0.34, 0.38])
    expected = {"mean": 0.34, "low": low, "high": high, "spread": 0.04, "seeds": 3}
    assert found == pytest.approx(expected)
    inception = ours["G1-L1"]["inception"]
    assert inception["mean"] == pytest.approx(3.3) and "std" not in inception
    half = 4.302653 * inception["spread"] / 3**0.5  # Student's t, two degrees of freedom
    assert inception["high"] - inception["mean"] == pytest.approx(half)
    assert ours["G1-L1"]["sharpness"] is None  # which one of the trainings lacks
    assert ours["G1-L1"]["pckh"]["low"] is None and ours["G1-L1"]["pckh"]["seeds"] == 3
    assert ours["target"] == summaries["target"][0]["scores"] | {"pckh": None}
    assert (table["facts"]["seed"], table["facts"]["seeds"]) == (4, [4, 5, 6])
    assert json.loads(render.to_json(table)) == table
    text = render.markdown(table)
    assert f"| 0.340 [{low:.3f}, {high:.3f}] ± 0.040 | 0.220 |" in text
    assert "| 3.300 ± 0.361 |" in text and "splits" not in text
    assert "Mean of 3 trainings (seeds 4, 5, 6; G1+D: the first 2)" in text
    lines = list(csv.DictReader(io.StringIO(render.render(table)[".csv"])))
    assert [(line["seeds"], line["ssim_spread"]) for line in lines] == [
        ("4 5 6", "0.04"), ("4 5 6", "0.00707107"), ("4 5 6", ""),
    ]  # fmt: skip
    more = tables.more_scores(summaries, facts, pairs)
    assert more["rows"][0]["ours"]["pck"] is None and "Mean of 3 trainings" in more["notes"][2]


def test_several_trainings_weigh_the_pairs():
    """As one training does. The third pair has no head and so no PCKh."""
    summaries, pairs = several("G1-L1", (0.3, 0.34, 0.38))
    weights = {"pckh": [18, 4, 9, 1], "sharpness": [0.01, 0.002, 0.03, 0.04]}
    columns = {
        "pckh": np.array([[0.9, 0.2, np.nan, 0], [0.8, 0.3, np.nan, 1], [1, 0, np.nan, 0.5]]),
        "sharpness": np.array([[0.5, 2, 1, 0.1], [0.4, 3, 1, 0.2], [0.6, 1, 2, 0.3]]),
    }
    for k, (found, frame) in enumerate(zip(summaries, pairs, strict=True)):
        found["scores"]["pckh"] = {"mean": 0.123, "low": 0, "high": 1}  # the pairs decide
        frame["joints"], frame["target_gradient"] = weights.values()
        for score, values in columns.items():
            frame[score] = values[k]
    table = tables.table1({"G1-L1": summaries}, MARKET, FACTS, {"G1-L1": pairs})
    for score, values in columns.items():
        known = ~np.isnan(values[0])
        means = np.average(values[:, known], axis=1, weights=np.array(weights[score])[known])
        found = table["rows"][0]["ours"][score]
        assert found["by_seed"] == pytest.approx(means)
        assert found["mean"] == pytest.approx(means.mean())
        assert found["mean"] != pytest.approx(np.nanmean(values), abs=0.05)
        ends = statistics.interval(values, pairs[0].identity, weights[score])
        assert (found["low"], found["high"]) == pytest.approx(ends)


def test_committed_tables_of_one_training_still_render():
    """They were made before tables knew of seeds, or are made by this version."""
    folders = sorted((Path(__file__).parents[1] / "figures").glob("*-*"))
    names = ("table1", "more_scores", "presets", "differences")
    paths = [folder / f"{name}.json" for folder in folders for name in names]
    paths = [path for path in paths if path.exists()]
    assert len(paths) > 8
    for path in paths:
        texts = render.render(json.loads(path.read_text(encoding="utf-8")))
        assert texts[".md"].count("\n|") > 3 and "nan" not in texts[".csv"]


def made_presets():
    def means(start):
        return {
            preset: {"mean": start + k / 10, "low": 0.1, "high": None}
            for k, preset in enumerate(("pg2", "patn", "patn-fashion"))
        }

    return {
        "dataset": "synthetic-market", "height": 128, "width": 64, "pairs": 1234,
        "identities": 60, "mask_variant": "released", "presets": ["pg2", "patn", "patn-fashion"],
        "rows": {
            row: {
                measure: means(start + more)
                for more, measure in enumerate(("ssim", "mask_ssim", "mask_ssim_condition"))
            }
            for row, start in (("condition", 0), ("G1-L1", 0.25), ("G1+D", 0.22))
        },
    }  # fmt: skip


def test_presets_stand_side_by_side():
    text = render.markdown(made_presets())
    for line in (
        "| measure | row | pg2 | patn | patn-fashion |",
        "| SSIM | condition image, copied | 0.000 | 0.100 | 0.200 |",
        "| SSIM | G1-L1 | 0.250 | 0.350 | 0.450 |",
        "| mask-SSIM, target's mask | G1-L1 | 1.250 | 1.350 | 1.450 |",
        "| mask-SSIM, condition's mask | G1+D | 2.220 | 2.320 | 2.420 |",
    ):
        assert line in text.splitlines()
    assert "by up to 0.200 from preset to preset (0.100 without white padding)" in text
    assert "by up to 0.030 from model to model" in text
    assert "1,234 test pairs of 60 people" in text
    assert "pose mask: released, under patn PATN's own, under patn-fashion PATN's own." in text
    lines = list(csv.DictReader(io.StringIO(render.render(made_presets())[".csv"])))
    assert len(lines) == 3 * 3 * 3
    assert list(lines[10].values()) == ["G1-L1", "ssim", "patn", "0.35", "0.1", ""]


def test_mistakes():
    with pytest.raises(UserError, match="at least one"):
        tables.table1({}, MARKET, FACTS)
    with pytest.raises(UserError, match="'G3'.*G1\\+G2\\+D"):
        tables.table1({"G3": [summary("G3")]}, MARKET, FACTS)
    with pytest.raises(UserError, match="not a table"):
        render.view({"mine": 1})
    mixed = {"G1-L1": summary("G1-L1"), "G1+D": summary("G1+D", preset="patn")}
    with pytest.raises(UserError, match="G1-L1 and G1\\+D.*preset: pg2 and patn"):
        tables.table1(alone(mixed), MARKET, FACTS)


def test_an_interval_stays_in_one_line():
    space = "\N{NO-BREAK SPACE}"
    text = "| G1+D | +0.014 [+0.012, +0.015] | see [notes](a, 1), 3 % [2 %, 4 %] | 0.5, 0.6 |"
    kept = render.unbroken(text)
    assert kept.replace(space, " ") == text
    for interval in ("+0.014 [+0.012, +0.015]", "3 % [2 %, 4 %]"):
        assert interval.replace(" ", space) in kept
    assert "see [notes](a, 1), 3" in kept and "| 0.5, 0.6 |" in kept
