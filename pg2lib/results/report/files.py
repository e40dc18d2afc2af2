"""The files of a report: what is gathered while the page is written, and what was there before."""

import shutil
from pathlib import Path

from pg2lib.core.files import UserError
from pg2lib.results.report.studies import read_json
from pg2lib.workflow import run_store as runs

MANIFEST = "manifest.json"
MADE_BY = "pg2lib.results.report"  # in the manifest: what tells a report from any other folder
EMBEDDED = 5_500_000  # bytes of PNG in the page; more of them are put in with 256 colours


class Report:
    """What `write_report` gathers in a folder of its own while it writes the page."""

    def __init__(self, studies, folder, embedded=EMBEDDED):
        self.studies, self.folder, self.files = studies, folder, {}
        shown = [study.folder / picture.file for study in studies
                 for section in study.sections for picture in section.pictures]  # fmt: skip
        self.few_colours = sum(p.stat().st_size for p in shown if p.exists()) > embedded
        self.people = []  # real data sets whose people the page shows

    def add(self, path: str, content, source: str):
        """Write a file of the report; content is bytes, text or the Path of a file to copy."""
        target = self.folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, Path):
            shutil.copyfile(content, target)
        elif isinstance(content, bytes):
            target.write_bytes(content)
        else:
            target.write_text(content, encoding="utf-8", newline="\n")
        self.files[path] = {"from": source, "sha256": runs.sha256(target)}


def foreign(out: Path) -> list[str]:
    """Names of the files in a report's folder that are not the report's.

    Raises:
        UserError: out is a file, or a folder with something in it that is no report.
    """
    if not out.exists():
        return []
    if not out.is_dir():
        raise UserError(f"{out} is a file; name a folder for the report")
    there = [str(path.relative_to(out)) for path in sorted(out.rglob("*")) if not path.is_dir()]
    manifest = read_json(out / MANIFEST)
    ours = isinstance(manifest, dict) and manifest.get("made_by") == MADE_BY
    if there and not ours:
        raise UserError(f"{out} holds files but no report; name another folder or empty it")
    return [name for name in there if name != MANIFEST and name not in manifest["files"]]
