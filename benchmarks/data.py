"""Preparing data: JPEG files, made here in the layout of the real sets, into the store.

The files are links to a few hundred drawn people, so that the decoder has real work and no data
set is needed.
"""

import io
import json
import os
import sys
import tempfile
import time
from pathlib import Path

from PIL import Image

from benchmarks.common import SCRATCH, Line, Size, peak_memory, run_module
from pg2lib.core.config import DataConfig
from pg2lib.data.prepare import prepare
from pg2lib.data.synthetic import draw

PER_PERSON = 8


def measure(size: Size, device: str, log) -> tuple[list[Line], dict]:
    lines, details = [], {}
    SCRATCH.mkdir(exist_ok=True)
    for dataset, count, make, limits in (
        ("market1501", size.market_images, market_folder, (30, None)),
        ("deepfashion", size.fashion_images, fashion_folder, (None, 2_000)),
    ):
        with tempfile.TemporaryDirectory(dir=SCRATCH) as folder:
            log(f"making {count:,} JPEG files as in {dataset}")
            make(Path(folder) / "source", count, size.distinct)
            log(f"preparing {dataset}")
            details[dataset] = run_module("data", dataset, folder)
        lines += prepared_lines(dataset, details[dataset], *limits)
    return lines, details


def prepared_lines(dataset, cost, seconds, memory) -> list[Line]:
    """seconds, memory (MB): the targets, None where there is none."""
    what = f"preparing {cost['images']:,} images of {dataset}, {cost['size']}"
    return [
        Line(
            what, cost["seconds"], "s", f"under {seconds}" if seconds else "",
            cost["seconds"] < seconds if seconds else None,
            f"store of {cost['store_mb']:,.0f} MB, checksum included",
        ),
        Line(
            f"{what}: most memory resident", cost["resident_mb"], "MB",
            f"at most {memory:,}" if memory else "",
            cost["resident_mb"] <= memory if memory else None,
            "of the process that writes; others decode",
        ),
    ]  # fmt: skip


def people(count, height, width):
    """JPEG bytes and keypoints of so many drawn pictures."""
    for number in range(count):
        drawn = draw(number // PER_PERSON, number % PER_PERSON, 0, height, width)
        file = io.BytesIO()
        Image.fromarray(drawn.image).save(file, "jpeg", quality=95)
        yield file.getvalue(), drawn.keypoints


def linked(folder, names, distinct, height, width):
    """Write `distinct` pictures and link them under all names; the lines of their keypoints."""
    folder.mkdir(parents=True)
    rows = []
    for picture, keypoints in people(min(distinct, len(names)), height, width):
        (folder / f"{len(rows)}.tmp").write_bytes(picture)
        rows.append(f"{[int(y) for y in keypoints[:, 1]]}: {[int(x) for x in keypoints[:, 0]]}")
    lines = ["name:keypoints_y:keypoints_x"]
    for number, name in enumerate(names):
        os.link(folder / f"{number % len(rows)}.tmp", folder / name)
        lines.append(f"{name}: {rows[number % len(rows)]}")
    for number in range(len(rows)):
        (folder / f"{number}.tmp").unlink()
    return lines


def market_folder(folder, count, distinct):
    names = [f"{1 + i // PER_PERSON:04d}_c{1 + i % 6}s1_{i:06d}_00.jpg" for i in range(count)]
    lines = linked(folder / "bounding_box_train", names, distinct, 128, 64)
    (folder / "market-annotation-train.csv").write_text("\n".join(lines) + "\n")


def fashion_folder(folder, count, distinct):
    names = [
        f"fashionWOMENDressesid{1 + i // PER_PERSON:08d}01_{1 + i % PER_PERSON}front.jpg"
        for i in range(count)
    ]
    header, *lines = linked(folder / "images", names, distinct, 256, 256)
    test = count // 13 // PER_PERSON * PER_PERSON or PER_PERSON  # the share of the real set
    for half, part in (("train", slice(test, None)), ("test", slice(0, test))):
        (folder / f"{half}.lst").write_text("\n".join(names[part]) + "\n")
        rows = "\n".join([header, *lines[part]])
        (folder / f"fasion-annotation-{half}.csv").write_text(rows + "\n")
    pairs = [f"{a},{b}" for a, b in zip(names[:test:2], names[1:test:2])]
    (folder / "fasion-pairs-test.csv").write_text("\n".join(["from,to", *pairs]) + "\n")


def main(dataset, folder):
    """Prepare `folder`/source into `folder`/store; prints seconds and memory."""
    side = (256, 256) if dataset == "deepfashion" else (128, 64)
    config = DataConfig(dataset, *side, test_identities=4, keypoint_frame="256x256")
    store, started = Path(folder) / "store", time.perf_counter()
    prepare(config, store, Path(folder) / "source")
    seconds = time.perf_counter() - started
    parts = json.loads((store / "card.json").read_text())["parts"].values()
    cost = {
        "seconds": seconds,
        "resident_mb": peak_memory(),
        "store_mb": sum(path.stat().st_size for path in store.rglob("*")) / 1e6,
        "images": sum(part["images"] for part in parts),
        "size": f"{side[0]}x{side[1]}",
    }
    print(json.dumps(cost))


if __name__ == "__main__":
    main(*sys.argv[1:])
