"""Applications for people; nothing in the other rooms imports them. Only the widgets themselves
need anywidget."""

from functools import partial

from pg2lib.core.files import optional

anywidget_library = partial(
    optional,
    "anywidget",
    "the widgets need anywidget: pip install anywidget, then restart the kernel and reload the "
    "page",
)
