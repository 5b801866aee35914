"""Mean absolute change of images/photo.png by the reference package of MedMNIST-C, kind by kind and severity by severity,
mean of 20 seeds, into corruption.json. Run in this folder: python corruption.py. Needs medmnistc 0.1.0, opencv,
scikit-image, scipy, torchvision, wand with ImageMagick (6 serves)."""

import json
import random
import warnings
from pathlib import Path

import numpy as np
from PIL import Image

warnings.simplefilter("ignore")
# Only text from bytes was dropped from numpy, under another name.
np.fromstring = np.frombuffer
from medmnistc.corruptions.registry import CORRUPTIONS_DS  # noqa: E402

# The registry leaves it to its dataset class.
import skimage as sk  # noqa: E402
from medmnistc.corruptions.noise import ImpulseNoise  # noqa: E402

ImpulseNoise.rng = np.random.default_rng(1)

photo = Image.open(Path(__file__).parent / "images" / "photo.png")
original = np.asarray(photo, np.float64)
table = {}
for kind, corruption in CORRUPTIONS_DS["dermamnist"].items():
    row = []
    for severity in range(5):
        changes = []
        for seed in range(20):
            random.seed(seed)
            np.random.seed(seed)
            changes.append(np.abs(np.asarray(corruption.apply(photo.copy(), severity), np.float64) - original).mean())
        row.append(round(float(np.mean(changes)), 4))
    table[kind] = row
    print(kind, row)
(Path(__file__).parent / "corruption.json").write_text(json.dumps(table, indent=1) + "\n")
