"""Figures: their common style, and saving them with a record of how they were made. pyplot is never
used, so nothing is shown or kept open."""

import io
import json
import platform
import subprocess
import time
from importlib.metadata import version
from pathlib import Path

import numpy as np
from matplotlib import rc_context
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

import pg2lib
from pg2lib.core.files import UserError, read_record, without_nan, write_atomically

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
STAMPS = ("written", "versions", "commit")  # of a record: when and by what it was made
PICTURES = "pictures"  # gid of figures that show images


def new_figure(width, height, layout=None):
    """A Figure; width and height in inches."""
    return Figure((width, height), dpi=DPI, layout=layout)


@STYLE
def rendered(figure):
    """The figure as uint8 (H, W, 3)."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def to_png_bytes(picture, colours=None):
    """A uint8 image (H, W, 3) or a Figure as PNG bytes, reduced to so many colours. Fits the
    `value` of an ipywidgets Image."""
    image = Image.fromarray(rendered(picture) if isinstance(picture, Figure) else picture)
    if colours:
        image = image.quantize(colours, Image.Quantize.MAXCOVERAGE, kmeans=2, dither=0)
    stream = io.BytesIO()
    image.save(stream, format="PNG", optimize=True)
    return stream.getvalue()


def show(figure, colours=128):
    """The figure as an IPython image, in few colours so that a notebook stays small."""
    from IPython.display import Image as Shown

    return Shown(to_png_bytes(figure, colours=colours), width=figure.get_figwidth() * 100)


@STYLE
def save(figure, path, facts, colours=None):
    """Write a figure as PNG, as PDF (charts as vectors) and, as JSON, the record of its making;
    returns the path of the PNG.

    path ends in .png (UserError otherwise). facts go into the JSON: configuration, seed, inputs
    (keys or SHA-256), command; time, versions and commit are added, and as alternative text the
    figure's label, which the functions of `figures` and `charts` set. colours: reduce the PNG to so
    many. The same picture of the same facts keeps the record of its first making, so that a
    notebook run by hand changes no file that `pg2 reproduce` wrote."""
    path = Path(path)
    if path.suffix != ".png":
        raise UserError(f"figures are written as PNG; end {path} in .png.")
    picture = rendered(figure)
    height, width, _ = picture.shape
    record = {"figure": path.name, "width": width, "height": height}
    record |= {"alt": figure.get_label(), "people": figure.get_gid() == PICTURES}
    with write_atomically(path.with_suffix(".pdf")) as temporary:
        stream = io.BytesIO()  # matplotlib's own error on a full disk hides the disk's
        figure.savefig(stream, format="pdf", metadata={"CreationDate": None})
        temporary.write_bytes(stream.getvalue())
    png, record = to_png_bytes(picture, colours=colours), without_nan(record | facts)
    if is_made(path, png, record):
        return path
    with write_atomically(path) as temporary:
        temporary.write_bytes(png)
    with write_atomically(path.with_suffix(".json")) as temporary:
        temporary.write_text(to_text(record | stamp()) + "\n", encoding="utf-8")
    return path


def is_made(path: Path, png: bytes, record: dict) -> bool:
    """Whether a PNG file holds these bytes, and its record says the same, whenever it was made."""
    before = read_record(path.with_suffix(".json"))
    if not isinstance(before, dict) or not path.exists() or path.read_bytes() != png:
        return False
    before = {name: value for name, value in before.items() if name not in STAMPS}
    return before == json.loads(to_text(record))


def to_text(record: dict) -> str:
    return json.dumps(record, indent=1, ensure_ascii=False, default=str)


def publish(figure, path, facts, colours=None):
    """`save` the figure and return it as an IPython image: the last line of a notebook's cell."""
    save(figure, path, facts, colours)
    return show(figure, colours or 128)


def stamp() -> dict:
    """Time, versions of what determines a figure's content, and commit, for a file's record."""
    versions = {"python": platform.python_version(), "pg2lib": pg2lib.__version__}
    versions |= {name: version(name) for name in ("torch", "numpy", "scikit-image", "matplotlib")}
    now = time.strftime("%Y-%m-%d %H:%M:%S")
    return dict(zip(STAMPS, (now, versions, commit())))


def commit() -> str | None:
    """The checked-out commit, followed by "+" if tracked files of the library differ from it; None
    outside git."""

    def git(*arguments):
        command, here = ["git", *arguments], Path(pg2lib.__file__).parent
        quiet = {"stderr": subprocess.DEVNULL, "text": True, "timeout": 10}
        return subprocess.check_output(command, cwd=here, **quiet).strip()

    try:
        changed = git("status", "--porcelain", "--untracked-files=no", "--", ".")
        return git("rev-parse", "--short=12", "HEAD") + ("+" if changed else "")
    except (OSError, subprocess.SubprocessError):
        return None
