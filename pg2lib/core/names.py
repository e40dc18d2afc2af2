"""Suggestions for mistyped names."""

import difflib

from pg2lib.core.files import UserError


def nearest(name: str, choices) -> str | None:
    """The choice closest to a name, ignoring case; None if none is close."""
    lower = {str(choice).lower(): choice for choice in choices}
    found = difflib.get_close_matches(str(name).lower(), lower, 1, 0.6)
    return lower[found[0]] if found else None


def suggestion(name: str, choices) -> str:
    """ "; did you mean X" to append to a sentence, or ""."""
    near = nearest(name, choices)
    return f"; did you mean {near}" if near else ""


def checked(kind: str, name: str, choices, remedy: str = "") -> str:
    """Return name. Raises UserError, with the nearest choice and all of them, if it is unknown."""
    if name not in choices:
        meant = suggestion(name, choices)
        end = f"{meant}? The choices are: " if meant else "; choose one of: "
        raise UserError(f"unknown {kind} {name!r}{end}{', '.join(choices)}{remedy}")
    return name
