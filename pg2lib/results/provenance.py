"""Figures: their common style, and how they become files with a record of what made them.

pyplot is never used, so nothing is shown or kept open.
"""

import io
import json
import platform
import subprocess
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
from matplotlib import rc_context
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

import pg2lib
from pg2lib.core.files import UserError, without_nan, write_atomically

DPI = 150
INK, GREY, PALE = "#222222", "#777777", "#d9d9d9"
FONT = 8.0  # points; readable at the width of a README figure
STYLE = rc_context(
    {
        "font.size": FONT,
        "axes.titlesize": 1.1 * FONT,
        "text.color": INK,
        "axes.edgecolor": GREY,
        "axes.labelcolor": INK,
        "xtick.color": GREY,
        "ytick.color": INK,
        "figure.facecolor": "white",
        "pdf.fonttype": 42,  # TrueType: text in the PDF can be searched
    }
)  # decorator of functions that draw
PICTURES = "pictures"  # gid of figures that show images


def new_figure(width, height, layout=None):
    """A Figure of so many inches."""
    figure = Figure((width, height), dpi=DPI, layout=layout)
    FigureCanvasAgg(figure)
    return figure


@STYLE
def rendered(figure, dpi=DPI):
    """The figure as uint8 (H, W, 3)."""
    before = figure.dpi
    figure.set_dpi(dpi)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    figure.set_dpi(before)
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def to_png_bytes(picture, scale=1):
    """A uint8 image (H, W, 3), enlarged by whole pixels, or a Figure, as PNG bytes.

    Fits the `value` of an ipywidgets Image.
    """
    if isinstance(picture, Figure):
        picture = rendered(picture)
    picture, stream = np.asarray(picture).repeat(scale, 0).repeat(scale, 1), io.BytesIO()
    Image.fromarray(picture).save(stream, format="PNG", optimize=True)
    return stream.getvalue()


def show(figure, colours=128):
    """The figure as an IPython image, in few colours so that a notebook stays small."""
    from IPython.display import Image as Shown

    picture = Image.fromarray(rendered(figure))
    small = picture.quantize(colours, Image.Quantize.MAXCOVERAGE, kmeans=2, dither=0)
    stream = io.BytesIO()
    small.save(stream, format="PNG", optimize=True)
    return Shown(stream.getvalue(), width=figure.get_figwidth() * 100)


@STYLE
def save(figure, path, facts, alt=None, dpi=DPI):
    """Write a figure as PNG, as PDF (charts as vectors) and, as JSON, the record of its making;
    returns the path of the PNG.

    path ends in .png (UserError otherwise). facts go into the JSON: configuration, seed, inputs
    (keys or SHA-256), command; time, versions and commit are added. alt: alternative text, None:
    the figure's label, which the functions of `figures` and `charts` set."""
    path = Path(path)
    if path.suffix != ".png":
        raise UserError(f"figures are written as PNG; end {path} in .png.")
    picture = rendered(figure, dpi)
    record = {
        "figure": path.name,
        "width": picture.shape[1],
        "height": picture.shape[0],
        "alt": alt or figure.get_label(),
        "people": figure.get_gid() == PICTURES,
        **facts,
        **stamp(),
    }
    with write_atomically(path.with_suffix(".pdf")) as temporary:
        figure.savefig(temporary, format="pdf", metadata={"CreationDate": None})
    with write_atomically(path) as temporary:
        temporary.write_bytes(to_png_bytes(picture))
    with write_atomically(path.with_suffix(".json")) as temporary:
        text = json.dumps(without_nan(record), indent=1, ensure_ascii=False, default=str)
        temporary.write_text(text + "\n", encoding="utf-8")
    return path


def publish(figure, path, facts, alt=None):
    """`save` the figure and return it as an IPython image: the last line of a notebook's cell."""
    save(figure, path, facts, alt)
    return show(figure)


def stamp() -> dict:
    """Time, versions and commit, for the record of a file."""
    return {
        "written": time.strftime("%Y-%m-%d %H:%M:%S"),
        "versions": versions(),
        "commit": commit(),
    }


def versions() -> dict:
    """Versions of Python, this library and the packages that determine what a figure shows."""
    found = {"python": platform.python_version(), "pg2lib": pg2lib.__version__}
    for name in ("torch", "numpy", "scikit-image", "matplotlib"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = None
    return found


def commit() -> str | None:
    """The checked-out commit, followed by "+" if tracked files differ from it; None outside git."""

    def git(*arguments):
        return subprocess.run(
            ["git", *arguments], cwd=Path(__file__).parent, capture_output=True, text=True,
            timeout=10, check=True,
        ).stdout.strip()  # fmt: skip

    try:
        changed = git("status", "--porcelain", "--untracked-files=no", "--", ".")
        return git("rev-parse", "--short=12", "HEAD") + ("+" if changed else "")
    except (OSError, subprocess.SubprocessError):
        return None
