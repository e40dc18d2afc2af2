"""The benchmark runs at tiny sizes, and its page shows the numbers of its results."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import __main__ as bench
from benchmarks import common, record, versions
from pg2lib import models
from pg2lib.core import devices
from pg2lib.core.files import UserError

PROJECT = Path(__file__).resolve().parent.parent
RESULTS = PROJECT / "benchmarks" / "results.json"


def test_the_benchmark_needs_no_notebook_package():
    blocked = "papermill", "nbformat", "IPython"
    code = f"import sys; sys.modules |= dict.fromkeys({blocked}); import benchmarks.__main__"
    subprocess.run([sys.executable, "-c", code], cwd=PROJECT, check=True)


def test_sections_run_and_write_their_lines(tmp_path):
    sections = ("training and generation", "papers after PG2", "scores", "data", "pose studio")
    chosen = [word for name in sections for word in ("--only", name)]
    command = [sys.executable, "-m", "benchmarks", "--check", "--device", "cpu", "--out", tmp_path]
    done = subprocess.run(
        command + chosen, cwd=PROJECT, env=common.environment(), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    written = json.loads((tmp_path / "results.json").read_text())["cpu"]
    assert set(written["sections"]) == set(sections) and written["machine"]["cores"] >= 1
    lines = [line for section in written["sections"].values() for line in section["lines"]]
    assert all(line["value"] >= 0 for line in lines) and len(lines) > 20
    equal = [line for line in lines if "largest difference" in line["what"]]
    assert len(equal) == 4 and all(line["met"] for line in equal)  # SSIM is scikit-image's
    page = (tmp_path / "results.md").read_text()
    assert all(line["what"] in page for line in lines)


def test_an_unknown_section_is_an_error(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["benchmarks", "--only", "speed"])
    with pytest.raises(UserError, match="unknown section 'speed'"):
        bench.main()


def test_the_committed_page_is_that_of_the_committed_numbers():
    results = json.loads(RESULTS.read_text())
    assert (PROJECT / "benchmarks" / "results.md").read_text() == bench.page(results)
    entry = results["cpu"]
    assert entry["command"] == "make bench" and set(entry["sections"]) == set(bench.SECTIONS)


def test_every_row_is_timed_and_rows_of_equal_cost_once():
    groups = common.rows_by_cost("smoke")
    names = [name for group in groups.values() for name in group]
    assert sorted(names) == sorted(models.chains(models.rows()))
    assert len(groups) < len(names)  # the weight of the mask costs nothing


def test_medians_leave_the_warm_up_out_and_rounds_alternate():
    order = []

    def call(name, values=(9, 1, 3, 2)):
        order.append(name)
        return values[order.count(name) - 1]

    took = common.interleaved({"a": lambda: call("a"), "b": lambda: call("b")}, repeats=3)
    assert took == {"a": [1, 3, 2], "b": [1, 3, 2]} and common.median(took["a"]) == 2
    assert order == ["a", "b"] * 4


def test_numbers_are_short_and_units_keep_their_sense():
    spelled = {0: "0", 0.00012: "1.2e-04", 0.0042: "0.0042", 3.14159: "3.14", 1234.5: "1,234"}
    assert {value: bench.number(value) for value in spelled} == spelled


def test_a_record_is_the_mean_of_its_seeds_and_is_met_where_no_score_is_below_the_goal():
    def run(seed, ssim):
        scores = {"ssim": ssim, "mask_ssim": 0.7, "pckh": 0.9, "sharpness": 0.2, "stripes": 0.1}
        entry = {"cost_tflop": 2.0 + seed, "scores": scores, "d": {"d_real": 0.75}}
        return {"seed": seed, "rows": dict.fromkeys(record.ROWS, entry)}

    line = {"commit": "abc", "change": "wider", "trial": False}
    lines = [line | {"runs": [run(0, 0.31), run(1, ssim)]} for ssim in (0.30, 0.28)]
    trial = run(0, 0.3)
    trial["rows"] = dict(sorted(trial["rows"].items()))  # as in the file
    lines.append(line | {"trial": True, "runs": [trial]})
    sides = [{"commit": "old", "cpu_seconds": 2_000, "wall_seconds": 900, "matrix_gflops": 400}]
    sides.append(sides[0] | {"commit": "new", "cpu_seconds": 500})
    page = record.page(lines, [{"precision": "float32", "runs": sides}])
    assert "| float32 | old | 2,000 | 1.00 | 900 | 400 |" in page
    assert "| float32 | new | 500 | 0.25 | 900 | 400 |" in page
    rows = [text for text in page.splitlines() if "wider" in text]
    cells = [[cell.strip() for cell in text.split("|")[1:-1]] for text in rows]
    assert cells[0][:4] == ["abc", "wider", "5.0", "0.305 [0.300, 0.310]"]
    assert [row[-1] for row in cells] == ["yes", "no", "–"]  # a trial without D(fake)
    assert cells[2][:3] == [record.ROWS[-1], "wider", "0.300"] and cells[2][-2] == "0.750"


def test_a_clone_forgets_its_instructions_for_bfloat16(tmp_path):
    file = tmp_path / "pg2lib" / "core" / "devices.py"
    file.parent.mkdir(parents=True)
    file.write_text(Path(devices.__file__).read_text())
    versions.without_bfloat16(tmp_path)
    assert "\nFAST_BFLOAT16 = ()  #" in file.read_text()
    with pytest.raises(SystemExit, match="FAST_BFLOAT16"):
        file.write_text("")
        versions.without_bfloat16(tmp_path)
