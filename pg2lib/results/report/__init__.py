"""One page with the latest results of every study, to read, print and copy from: `pg2 report`.

`write_report` reads what `make reproduce` left in the figures folder and scores nothing anew:
tables are the Markdown files that lie there, figures the PNG files, and every sentence with a
number takes it from a file. The page, report.html, is complete in itself and asks nobody for
anything; beside it lie the figures as PNG and PDF, the tables as LaTeX, Markdown and CSV, and
manifest.json with where each file came from.
"""

import shutil
import tempfile
import time
from pathlib import Path

from pg2lib.core.files import UserError
from pg2lib.results import figures
from pg2lib.results.report.files import MADE_BY, MANIFEST, Report, foreign
from pg2lib.results.report.page import page_html
from pg2lib.results.report.studies import studies_in
from pg2lib.workflow import pipeline
from pg2lib.workflow import run_store as runs

PAGE = "report.html"


def write_report(folder=None, out=None) -> list[Path]:
    """Write the report of every study in a figures folder.

    The old report at `out` is exchanged for the new one at the end, whole; files in it that no
    report wrote stay.

    Args:
        folder: of the studies' folders; None takes the project's, or $PG2_FIGURES.
        out: folder to write; None takes report/ of the project.

    Returns:
        paths of all files, report.html first.

    Raises:
        UserError: no results, or `out` holds something that is no report.
    """
    out = Path(out or runs.project() / "report").absolute()
    kept = foreign(out)
    studies = studies_in(folder or pipeline.named_folder(""))
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{out.name}.", dir=out.parent) as temporary:
        report = Report(studies, Path(temporary) / "new")
        report.add(PAGE, page_html(report), "this command")
        names = [PAGE, *(name for name in report.files if name != PAGE)]
        manifest = {"made_by": MADE_BY, "written": time.strftime("%Y-%m-%d %H:%M:%S")}
        manifest |= {"versions": figures.versions(), "commit": figures.commit()}
        runs.write_json(report.folder / MANIFEST, manifest | {"files": report.files})
        for name in kept:
            if (report.folder / name).exists():
                raise UserError(f"{out / name} is not the report's; move it away")
        if out.exists():
            for name in kept:
                (report.folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(out / name, report.folder / name)
            out.rename(Path(temporary) / "old")
        report.folder.rename(out)
    return [out / name for name in (*names, MANIFEST)]
