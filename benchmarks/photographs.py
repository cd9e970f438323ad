"""`hush train ddpm --data FOLDER` on a folder of colour photographs of mixed sizes.

    python benchmarks/photographs.py [WORK]

Cuts patches of 32 to 96 pixels out of six photographs that scikit-image and scikit-learn ship, one
subfolder (so one class) each, then runs the commands a person would type. Leaves
benchmarks/results/photographs.png: real patches left, drawn ones right, a row for each class.
"""

import shlex
import sys
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from hush.app import cli
from hush.data import grid, images, save
from hush.samplers import Multistep
from hush.systems.index import load

PATCHES = 400  # of each photograph
SHOWN = 8
TRAIN = (
    "train ddpm --data {work}/patches --out {work}/run --size 32 --flip --width 32 "
    "--multipliers 1 2 2 --blocks 1 --attention 2 --dropout 0 --batch 16 --learning-rate 1e-3 "
    "--warmup 100 --decay cosine --ema 0.999 --steps 2500 --sample-every 1000 --threads 1"
)
SAMPLE = "sample {work}/run --count 48 --seed 1 --sampler multistep --steps 30 --out {work}/drawn"


def main() -> None:
    """Cut, train, draw, and put real and drawn patches side by side."""
    work = Path(sys.argv[1] if len(sys.argv) > 1 else "runs/photographs")
    cut(work / "patches")
    started = time.perf_counter()
    cli.run(shlex.split(TRAIN.format(work=work)))
    minutes = (time.perf_counter() - started) / 60
    if not (work / "drawn").exists():
        cli.run(shlex.split(SAMPLE.format(work=work)))
    source, model = images(work / "patches", size=32), load(work / "run")
    labels = source.read(range(len(source)))["label"]
    rows = [source.read((labels == k).nonzero()[:SHOWN, 0].tolist())["image"] for k in range(6)]
    drawn = model.sample(6 * SHOWN, list(range(6)), Multistep(), 30, seed=1, guidance=2.0)
    drawn = drawn.unflatten(0, (SHOWN, 6)).transpose(0, 1).flatten(0, 1)
    beside = torch.cat((grid(torch.cat(rows), SHOWN), grid(drawn, SHOWN)), -1)
    save(beside, Path(__file__).parent / "results" / "photographs.png", overwrite=True)
    print(f"{minutes:.1f} minutes of training; classes, top to bottom: {', '.join(source.classes)}")


def cut(folder: Path) -> None:
    """Square and oblong patches at random places, the same at every call."""
    from skimage import data
    from sklearn.datasets import load_sample_images

    photographs = {name: getattr(data, name)() for name in ("astronaut", "cat", "coffee", "rocket")}
    photographs.update(zip(("china", "flower"), load_sample_images().images, strict=True))
    random = np.random.default_rng(0)
    for name, pixels in photographs.items():
        (folder / name).mkdir(parents=True, exist_ok=True)
        for number in range(PATCHES):
            height, width = random.integers(32, 97, 2)
            top = random.integers(0, pixels.shape[0] - height + 1)
            left = random.integers(0, pixels.shape[1] - width + 1)
            patch = pixels[top : top + height, left : left + width]
            Image.fromarray(patch).save(folder / name / f"{number:04d}.png")


if __name__ == "__main__":
    main()
