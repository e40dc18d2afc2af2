"""docs/croissant.json, the card of the drawn people, from the run store's copy of the profile
quick: python tools/croissant.py. Drawing takes half a minute if it is not there."""

import json
from pathlib import Path

import numpy as np

from pg2lib.core.config import Study
from pg2lib.workflow import pipeline
from pg2lib.workflow import run_store as runs

OUT = Path(__file__).parent.parent / "docs" / "croissant.json"
CONTEXT = {  # as the format prescribes it, whether used here or not: mlcroissant compares
    "@language": "en", "@vocab": "https://schema.org/", "sc": "https://schema.org/",
    "cr": "http://mlcommons.org/croissant/", "dct": "http://purl.org/dc/terms/",
    "rai": "http://mlcommons.org/croissant/RAI/", "conformsTo": "dct:conformsTo",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "examples": {"@id": "cr:examples", "@type": "@json"},
} | {
    name: f"cr:{name}"
    for name in "citeAs column equivalentProperty extract field fileObject fileProperty fileSet "
    "format includes isLiveDataset jsonPath key md5 parentField path recordSet references regex "
    "repeated replace samplingRate separator source subField transform".split()
}  # fmt: skip
ARRAYS = {  # file -> what it holds
    "images": "the pictures, RGB bytes",
    "keypoints": "18 COCO joints a picture, (x, y) in pixels of it, as a detector would report "
    "them; (-1, -1) for a joint that is not found",
    "identities": "the person of each picture",
    "cameras": "which of six street cameras has seen it",
    "names": "the name of each picture, as Market-1501 names its own",
    "train": "whether a picture is of a person to train on",
    "train_pairs": "ordered pairs of two pictures of one person: indices of condition and target",
    "test_pairs": "the pairs that are scored, of people not trained on",
    "silhouettes": "where the body is, a bit a pixel, packed by rows",
}


def card(folder: Path, done: dict) -> dict:
    """The card of a finished data step as Croissant 1.0 (schema.org in JSON-LD)."""
    found = json.loads((folder / "card.json").read_text())
    train, test = found["parts"]["train"], found["parts"]["test"]
    height, width = found["size"]
    files = []
    for name, about in ARRAYS.items():
        array = np.load(folder / f"{name}.npy", mmap_mode="r")
        fact = done["outputs"][f"{name}.npy"]
        files.append({
            "@type": "cr:FileObject", "@id": f"{name}.npy", "name": f"{name}.npy",
            "description": f"{about}; {array.dtype.name} {array.shape}",
            "contentUrl": f"{name}.npy", "contentSize": f"{fact['bytes']} B",
            "encodingFormat": "application/x-npy", "sha256": fact["sha256"],
        })  # fmt: skip
    return {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "name": "synthetic-market",
        "description": f"Drawn street people for pose guided person image generation: "
        f"{train['images']:,} pictures of {train['identities']} people to train on and "
        f"{test['images']:,} of {test['identities']} others, {width}x{height} pixels, in the "
        "layout of Market-1501, with 18 keypoints each. Drawn by code from a seed (profile "
        "quick); no photograph and no person behind any picture.",
        "version": "1.0.0",
        "license": "https://spdx.org/licenses/MIT",
        "creator": {"@type": "sc:Organization", "name": "The PG2 companion authors"},
        "url": "https://arxiv.org/abs/1705.09368",
        "datePublished": "2026-11-22",
        "isLiveDataset": False,
        "citeAs": "see CITATION.cff of the project",
        "usageInfo": "pg2 data prepare --dataset synthetic-market --profile quick",
        "distribution": files,
    }


def main():
    study = Study()
    pipeline.data(study, print)
    step = pipeline.data_step(study)
    text = json.dumps(card(step.folder, runs.read_done(step)), indent=1)
    OUT.write_text(text + "\n", encoding="utf-8")
    print(f"wrote {OUT.name}")


if __name__ == "__main__":
    main()
