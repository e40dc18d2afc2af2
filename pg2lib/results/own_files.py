"""An output folder of pages that may also hold files of the user: only files from an earlier run,
listed in its manifest, are replaced."""

import contextlib
import glob
import os
import tempfile
from pathlib import Path

from pg2lib.core.files import UserError, read_json, remove_litter, sha256, write_json
from pg2lib.results import provenance

MANIFEST = "manifest.json"


@contextlib.contextmanager
def rewritten(out, kind: str):
    """Yield an empty folder. What the block writes there replaces the files of the older `kind`
    ("report") in `out` if the block succeeds; no other file is touched.

    UserError: `out` is a file, holds files but no such `kind`, or holds a file of the user that has
    the name of a new one."""
    out = Path(out).absolute()
    kept, before = user_files(out, kind), own_files(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    remove_litter(out.parent, glob.escape(out.name))
    prefix = f".{out.name}.{os.getpid()}."
    with tempfile.TemporaryDirectory(prefix=prefix, dir=out.parent) as temporary:
        new = Path(temporary) / "new"
        new.mkdir()
        yield new
        if foreign := sorted(set(files_in(new)) & set(kept)):
            raise UserError(f"{out / foreign[0]} was not written by the {kind}; move it away")
        replace_files(out, new, kind, before)


def replace_files(out: Path, new: Path, kind: str, before: dict):
    """Move the files of a folder into `out` and remove those of the one before (own_files). A
    writing that was stopped half-way knows the files of both."""
    names = files_in(new)
    manifest = {"made_by": f"pg2 {kind}", "files": {name: sha256(new / name) for name in names}}
    manifest |= provenance.stamp()
    write_json(out / MANIFEST, manifest | {"before": before})
    for name in names:
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        os.replace(new / name, out / name)
    for name in set(before) - set(names):
        (out / name).unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # the folder holds something else
            (out / name).parent.rmdir()
    write_json(out / MANIFEST, manifest)


def own_files(out: Path) -> dict:
    """Name -> SHA-256 of the files in a folder that are in its manifest and unchanged."""
    manifest = read_json(out / MANIFEST) or {}
    lists = [manifest.get(key, {}) for key in ("files", "before")]
    found = {n: sha256(out / n) for n in files_in(out) if any(n in known for known in lists)}
    return {n: digest for n, digest in found.items() if digest in [k.get(n) for k in lists]}


def files_in(folder: Path) -> list[str]:
    """The files of a folder and its folders, by name below it, sorted."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def user_files(out: Path, kind: str) -> list[str]:
    """Names of the files in a folder that are not ours, or were changed since. Raises UserError if
    out is a file, or a folder that holds files but no such `kind`."""
    if out.exists() and not out.is_dir():
        raise UserError(f"{out} is a file; name a folder for the {kind}")
    manifest = read_json(out / MANIFEST) or {}
    if manifest.get("made_by") != f"pg2 {kind}" and out.exists() and any(out.iterdir()):
        raise UserError(f"{out} holds files but no {kind}; name another folder or empty it")
    own = own_files(out)
    return [name for name in files_in(out) if name != MANIFEST and name not in own]
