"""Copy the tables that pages quote in from figures/: `python -m pg2lib.workflow.pages`.

A page says `<!-- quote FILE -->`, a path from the project's root; what stands from there to
`<!-- end -->` is replaced by that file. So no number on a page is typed by hand.
"""

import re
import sys
from pathlib import Path

from pg2lib.core.files import UserError, write_atomically
from pg2lib.workflow.run_store import project

PAGES = ("README.md", "docs/results.md")
QUOTE = re.compile(r"(<!-- quote (\S+) -->\n)(.*?)(<!-- end -->)", re.DOTALL)


def quoted(page: str, root: Path) -> str:
    """The page with every quote as its file is now. UserError when a file is missing."""

    def replace(match):
        path = root / match[2]
        if not path.exists():
            raise UserError(f"{path} is missing; run the command that writes it first")
        return f"{match[1]}\n{path.read_text(encoding='utf-8').strip()}\n\n{match[4]}"

    return QUOTE.sub(replace, page)


def main():
    for name in PAGES:
        path = project() / name
        page = quoted(path.read_text(encoding="utf-8"), project())
        with write_atomically(path) as temporary:
            temporary.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    try:
        main()
    except UserError as error:
        print(f"pg2: {error}", file=sys.stderr)
        sys.exit(2)
