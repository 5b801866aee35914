"""The peer of benches/loader.rs: a PyTorch DataLoader with torchvision v2 transforms, 2 workers.

    DERM_DATA_DIR=... python benches/loader.py
"""

import os
import statistics
import sys
import time
from pathlib import Path

import pandas
import PIL
import torch
import torchvision
from PIL import Image
from torchvision.transforms import v2

IMAGES, EPOCHS = 2048, 5
MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]


class Ham10000(torch.utils.data.Dataset):
    def __init__(self, root, transform):
        table = pandas.read_csv(root / "HAM10000_metadata.csv")
        self.paths = [root / "images" / f"{name}.jpg" for name in table["image_id"][:IMAGES]]
        self.transform = transform

    def __len__(self):
        return len(self.paths)

    def __getitem__(self, index):
        return self.transform(Image.open(self.paths[index]).convert("RGB"))


def images_per_second(root, transform):
    loader = torch.utils.data.DataLoader(
        Ham10000(root, transform), batch_size=64, shuffle=True, num_workers=2, persistent_workers=True
    )
    rates = []
    for epoch in range(EPOCHS + 1):
        start = time.perf_counter()
        count = sum(batch.shape[0] for batch in loader)
        if epoch > 0:  # the first starts the workers
            rates.append(count / (time.perf_counter() - start))
    return statistics.median(rates), min(rates), max(rates)


def main():
    root = Path(os.environ["DERM_DATA_DIR"]) / "ham10000"
    print(
        f"python {sys.version.split()[0]}, torch {torch.__version__}, torchvision {torchvision.__version__}, "
        f"Pillow {PIL.__version__}"
    )
    geometry = [v2.RandomHorizontalFlip(), v2.RandomVerticalFlip()]
    jitter = v2.ColorJitter(brightness=0.2, contrast=0.2, saturation=0.2, hue=0.05)
    scaled = [v2.ToDtype(torch.float32, scale=True), v2.Normalize(MEAN, STD)]
    transforms = {
        "crop, flips, jitter (PIL)": [v2.RandomResizedCrop(224), *geometry, jitter, v2.ToImage(), *scaled],
        "crop, flips, jitter (tensors)": [
            v2.ToImage(), v2.RandomResizedCrop(224, antialias=True), *geometry, jitter, *scaled
        ],
        "resize only (PIL)": [v2.Resize((224, 224)), v2.ToImage(), *scaled],
        "resize only (tensors)": [v2.ToImage(), v2.Resize((224, 224), antialias=True), *scaled],
    }
    for name, steps in transforms.items():
        median, low, high = images_per_second(root, v2.Compose(steps))
        print(f"{name}: {median:.0f} images/s (median of {EPOCHS} epochs, {low:.0f} to {high:.0f})", flush=True)


if __name__ == "__main__":
    main()
