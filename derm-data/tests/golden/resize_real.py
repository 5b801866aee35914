"""Signed sums of HAM10000 images that Pillow resized, into resize_real.json: no pixel can be told from them, but two
pictures that differ have other sums. Run in this folder with DERM_DATA_DIR set: python resize_real.py.

With a second argument, a folder that the test wrote (DERM_RESIZE_DUMP), it compares picture by picture instead."""

import json
import os
import sys
from pathlib import Path

import numpy as np
from PIL import Image

SETTINGS = [(224, "bilinear"), (224, "bicubic"), (96, "bilinear"), (96, "bicubic")]
KINDS = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}
images = sorted((Path(os.environ["DERM_DATA_DIR"]) / "ham10000" / "images").glob("*.jpg"))


def signs(count):
    """64 signs for every byte: the bits of splitmix64 of its index."""
    with np.errstate(over="ignore"):
        x = (np.arange(count, dtype=np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        x ^= x >> np.uint64(31)
    return ((x[None] >> np.arange(64, dtype=np.uint64)[:, None]) & np.uint64(1)).astype(np.int64) * 2 - 1


if len(sys.argv) > 1:
    for size, interpolation in SETTINGS:
        means, most = [], 0
        for path in sorted(Path(sys.argv[1]).glob(f"*_{size}_{interpolation}.rgb")):
            source = Image.open(images[0].parent / f"{path.name.rsplit('_', 2)[0]}.jpg")
            ours = np.frombuffer(path.read_bytes(), np.uint8).astype(int)
            theirs = np.asarray(source.resize((size, size), KINDS[interpolation])).astype(int).ravel()
            means.append(np.abs(ours - theirs).mean())
            most = max(most, np.abs(ours - theirs).max())
        print(f"{size} {interpolation}: {len(means)} images, mean difference {np.mean(means):.3f}, "
              f"largest mean {max(means):.3f}, largest of a pixel {most}")
else:
    rows = []
    for size, interpolation in SETTINGS:
        weights = signs(size * size * 3)
        for path in images[::len(images) // 8][:8]:
            pixels = np.asarray(Image.open(path).resize((size, size), KINDS[interpolation])).astype(np.int64).ravel()
            rows.append({"id": path.stem, "size": size, "interpolation": interpolation, "sums": (weights @ pixels).tolist()})
    text = ",\n".join(json.dumps(row) for row in rows)
    (Path(__file__).parent / "resize_real.json").write_text(f"[\n{text}\n]\n")
