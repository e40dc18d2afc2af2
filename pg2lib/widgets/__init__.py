"""Widgets for Jupyter: each passes messages on between its page and plain Python.

What they do is in `studio` and `user_study`, which need no widget; only this package needs
anywidget.
"""

from importlib.util import find_spec

from pg2lib.errors import UserError

if find_spec("anywidget") is None:
    raise UserError("the widgets need anywidget; install it with: pip install anywidget")
