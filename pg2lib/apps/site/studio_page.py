"""The pose studio as a page: networks as ONNX graphs, people to paint, and scripts.

A page opened with a double click (file://) can load scripts and pictures next to it, but neither
modules nor data. So modules are addresses that contain their text, and everything else is a script
that holds gzip in base64: studio/NAME.js.
"""

import base64
import gzip
import json
import re
from pathlib import Path

import torch

from pg2lib import models
from pg2lib.apps.pose_studio import background, walking
from pg2lib.apps.pose_studio.studio import Studio, opening
from pg2lib.apps.pose_studio.widget import as_list
from pg2lib.core.files import UserError, write_atomically
from pg2lib.data import framing, heatmaps
from pg2lib.data.keypoints import BODY_25, JOINTS, LIMBS, SWAP
from pg2lib.results import figures
from pg2lib.training import onnx_graph
from pg2lib.workflow import shipped

HERE = Path(__file__).parent
VENDOR = HERE / "vendor"  # ONNX Runtime Web, see its README.md
CHOICES = 24  # people to choose from, about
FRAMING = {
    "above": framing.ABOVE, "below": framing.BELOW, "widest": framing.WIDEST, "head": framing.HEAD,
    "headJoints": framing.HEAD_JOINTS, "shoulders": framing.SHOULDERS,
    "fewest": framing.FEWEST_JOINTS, "farthest": framing.FARTHEST,
}  # fmt: skip
IMPORT = re.compile(r'from "([./\w]+\.m?js)"')


def write(study, folder, log) -> None:
    """Write the page's scripts into a folder, for the networks of a study that need only a photo
    and a pose. Raises UserError if there are none."""
    dataset, rows = shipped.data(study, log), painted(study)
    for row in rows:
        log(f"{row} as an ONNX graph")
        write_asset(folder, row, shipped.onnx(study, row, log))
    size = dataset.height, dataset.width
    write_asset(folder, "maps", maps_graph(*size))
    people, images = samples(dataset, rows)
    write_asset(folder, "people", json.dumps(people).encode())
    write_asset(folder, "images", images.tobytes())
    write_asset(folder, "wasm", (VENDOR / "ort-wasm-simd-threaded.wasm.gz").read_bytes(), True)
    for name in ("LICENSE", "ThirdPartyNotices.txt.gz"):
        (folder / name).write_bytes((VENDOR / name).read_bytes())


def painted(study) -> tuple[str, ...]:
    """The rows of a study that need only a photo and a target pose."""
    rows = shipped.rows(study.dataset) if shipped.ships(study) else models.rows()
    rows = tuple(row for row in rows if models.find(row).needs <= {"condition", "target_pose"})
    if not rows:
        raise UserError("the bundled generators are missing; make them again with: make demo")
    return rows


def write_asset(folder, name: str, content: bytes, packed: bool = False):
    """Write studio/NAME.js, whose content page.js unpacks."""
    packed = content if packed else gzip.compress(content, 9, mtime=0)
    text = base64.b64encode(packed).decode()
    with write_atomically(Path(folder, f"{name}.js")) as temporary:
        temporary.write_text(f"(globalThis.pg2 ??= {{}})[{json.dumps(name)}] = '{text}';\n")


def maps_graph(height: int, width: int) -> bytes:
    """An ONNX graph of the studio's pictures of a pose (1, 18, 2), all (1, 3, H, W) in [-1, 1]:
    "heatmaps" in colours, "mask", and "person", `background.shares`."""
    colours = torch.from_numpy(figures.joint_colours()).float()[:, :, None, None] / 255

    def maps(target_keypoints):
        discs = heatmaps.heatmaps(target_keypoints, height, width)[0][:, None]  # (18, 1, H, W)
        mask = heatmaps.pose_mask(target_keypoints, height, width)
        person = background.shares(target_keypoints, height, width)
        shown = {"heatmaps": (discs * colours).amax(0)[None]}
        shown |= {
            name: one.repeat(1, 3, 1, 1) for name, one in (("mask", mask), ("person", person))
        }
        return {name: 2 * image - 1 for name, image in shown.items()}

    pose = torch.arange(36.0).view(1, 18, 2) % width
    return onnx_graph.graph(maps, {"target_keypoints": pose}, {"shows": "a pose"})


def samples(dataset, rows):
    """(what the page needs to know, as JSON values; images uint8 (n, H, W, 3)): people of a
    Dataset with a walking cycle each, and the sizes, names and colours of the studio."""
    studio, (height, width) = (
        Studio(dataset, lambda row: None, rows),
        (dataset.height, dataset.width),
    )
    pair = [studio.choices.index(image) for image in opening(dataset)]
    chosen = sorted({*pair, *range(min(CHOICES, len(studio.choices)))})
    images = [studio.choices[number] for number in chosen]
    poses = dataset.keypoints[images]
    cycles = [walking.cycle(height, width, like=pose) for pose in poses]
    return {
        "height": height, "width": width, "rows": rows,
        "joints": JOINTS, "limbs": LIMBS, "swap": SWAP, "body25": BODY_25, "framing": FRAMING,
        "colours": figures.joint_colours().tolist(),
        "condition": chosen.index(pair[0]), "target": chosen.index(pair[1]),
        "labels": [studio.labels[number] for number in chosen],
        "poses": [as_list(pose) for pose in poses],
        "standing": walking.standing(height, width).round(2).tolist(),
        "walks": [[as_list(pose.round(2)) for pose in cycle] for cycle in cycles],
    }, dataset.images[images]  # fmt: skip


def module(path) -> str:
    """A JavaScript module and all that it imports, as one address."""

    def address(match):
        return f'from "{module(path.parent / match[1])}"'

    text = Path(path).read_text(encoding="utf-8").partition("//# sourceMappingURL")[0]
    text = IMPORT.sub(address, text)
    return f"data:text/javascript;base64,{base64.b64encode(text.encode()).decode()}"
