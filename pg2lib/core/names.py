"""Names that a user typed: the nearest one that exists."""

import difflib

from pg2lib.core.files import UserError


def nearest(name: str, choices) -> str | None:
    """The choice that a name was probably meant to be, also in other capitals; None if none is
    near."""
    lower = {str(choice).lower(): choice for choice in choices}
    found = difflib.get_close_matches(str(name).lower(), lower, 1, 0.6)
    return lower[found[0]] if found else None


def suggestion(name: str, choices) -> str:
    """ "; did you mean X" to append to a sentence, or ""."""
    near = nearest(name, choices)
    return f"; did you mean {near}" if near else ""


def checked(kind: str, name: str, choices, remedy: str = "") -> str:
    """name if it is one of choices, else a UserError with the nearest one and all of them."""
    if name not in choices:
        meant = suggestion(name, choices)
        end = f"{meant}? The choices are: " if meant else "; choose one of: "
        raise UserError(f"unknown {kind} {name!r}{end}{', '.join(choices)}{remedy}")
    return name
