"""Applications for people; nothing in the other rooms imports them.

The widgets need anywidget; the models behind them, `pose_studio.studio` and `user_study.study`, do
not.
"""

from pg2lib.core.files import UserError


def anywidget_library():
    """The module anywidget. UserError if it is not installed."""
    try:
        import anywidget
    except ImportError:
        raise UserError(
            "the widgets need anywidget: pip install anywidget, then restart the kernel and "
            "reload the page"
        ) from None
    return anywidget
