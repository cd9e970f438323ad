"""Loading pictures: hush beside `datasets`, torch's DataLoader and plain threads, all with Pillow.

    python benchmarks/data.py [--pictures 10000] [--steps 60]

The pictures are cut once out of scikit-image's and scikit-learn's photographs: sides of 64 to 512
pixels, JPEG of three qualities with a tenth PNG, a tenth grey. Each loader gives shuffled batches
of 64, float32 (64, 3, 64, 64) in [0, 1], half of them mirrored, from two workers. An epoch goes in
rounds: in each every loader in turn reads the next part of it. Two epochs, then the quality of what
hush reads, then training steps, and how long they waited. Writes benchmarks/results/data.md.
"""

import shutil
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from statistics import median

import datasets
import numpy as np
import torch
from measure import header, options, times_as_fast, write
from peers.loaders import BATCH, SIDE, WORKERS, Files, Reader, fitted, hush_reader, loader, threads
from PIL import Image

import hush
from hush.data.decode import decode
from hush.networks import Backbone
from hush.system import Recipe
from hush.training.trainer import Trainer
from hush.world import World


def main() -> None:
    """Open, read two epochs, judge, train; write the table."""
    parser = options(__doc__, rounds=5)
    parser.add_argument("--pictures", type=int, default=10_000)
    parser.add_argument("--steps", type=int, default=60)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    folder = pictures(given.pictures)
    with tempfile.TemporaryDirectory() as work:
        datasets.disable_progress_bars()
        files = sorted(map(str, folder.iterdir()))
        for name in files:
            Path(name).read_bytes()  # from here on they come from memory, for everybody
        opening, readers = opened(folder, files, work)
        epochs = [epoch(readers, given.pictures, given.rounds, number) for number in range(2)]
        lines = [*rates(opening, epochs, given.pictures), "", *quality(files)]
        lines += ["", *waiting(folder, given.steps)]
    command = f"python benchmarks/data.py --pictures {given.pictures} --steps {given.steps}"
    about = f"{WORKERS} workers, Pillow {Image.__version__}, datasets {datasets.__version__}."
    write("data.md", [f"{header(command, given)} {about}", "", *lines])


def pictures(count: int) -> Path:
    """The folder of pictures, made when it is not there: the same at every call."""
    folder = Path(tempfile.gettempdir()) / f"hush-benchmark-pictures-{count}"
    if folder.exists():
        return folder
    from skimage import data
    from sklearn.datasets import load_sample_images

    names = ("astronaut", "cat", "coffee", "rocket", "immunohistochemistry", "camera", "gravel")
    photographs = [getattr(data, name)() for name in names] + list(load_sample_images().images)
    dice, unfinished = np.random.default_rng(0), folder.with_suffix(".part")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir()
    for number in range(count):
        pixels = photographs[dice.integers(len(photographs))]
        height, width = np.minimum(dice.integers(64, 513, 2), pixels.shape[:2])
        top = dice.integers(0, pixels.shape[0] - height + 1)
        left = dice.integers(0, pixels.shape[1] - width + 1)
        picture = Image.fromarray(pixels[top : top + height, left : left + width])
        grey, png, quality = dice.random() < 0.1, dice.random() < 0.1, dice.choice((75, 85, 95))
        name = str(unfinished / f"{number:05d}")
        picture = picture.convert("L") if grey else picture
        picture.save(name + ".png") if png else picture.save(name + ".jpg", quality=int(quality))
    return unfinished.rename(folder)


def opened(folder: Path, files: list[str], work: str) -> tuple[dict[str, float], dict[str, Reader]]:
    """(seconds to open, readers) by name."""
    usual, same = Image.Resampling.BILINEAR, Image.Resampling.BICUBIC
    seconds: dict[str, float] = {}

    def imagefolder(resample: Image.Resampling, cache: str) -> Reader:
        data = datasets.load_dataset(
            "imagefolder", data_dir=str(folder), split="train", cache_dir=f"{work}/{cache}"
        )
        data.set_transform(
            lambda rows: {"image": [fitted(image, resample) for image in rows["image"]]}
        )
        return loader(data)

    makers = {
        "datasets, bilinear": lambda: imagefolder(usual, "one"),
        "datasets, bicubic": lambda: imagefolder(same, "two"),
        "DataLoader, bilinear": lambda: loader(Files(files, usual)),
        "DataLoader, bicubic": lambda: loader(Files(files, same)),
        "DataLoader, bicubic, draft": lambda: loader(Files(files, same, True)),
        "threads, bilinear": lambda: threads(Files(files, usual)),
        "hush": lambda: hush_reader(folder),  # last: the others fork
    }
    readers = {}
    for name, make in makers.items():
        began = time.perf_counter()
        readers[name] = make()
        seconds[name] = time.perf_counter() - began
    return seconds, readers


def epoch(
    readers: dict[str, Reader], count: int, rounds: int, number: int
) -> dict[str, list[float]]:
    """Pictures a second of each round."""
    row = torch.randperm(count, generator=torch.Generator().manual_seed(number)).tolist()
    size = count // rounds // BATCH * BATCH
    found: dict[str, list[float]] = {name: [] for name in readers}
    for turn in range(rounds):
        for name in [*readers][turn % len(readers) :] + [*readers][: turn % len(readers)]:
            began, seen = time.perf_counter(), 0
            for batch in readers[name](row[turn * size : (turn + 1) * size]):
                seen += len(batch)
            assert seen == size
            assert batch.shape == (BATCH, 3, SIDE, SIDE)
            found[name].append(size / (time.perf_counter() - began))
    return found


# -- quality and waiting --------------------------------------------------------------------------


def quality(files: list[str]) -> list[str]:
    """How near what hush reads comes to the same crop of the full decode."""
    found: dict[tuple[int, int], list[tuple[float, float]]] = {}
    for name in files[:: max(1, len(files) // 1000)]:
        for side in (32, 64):
            with Image.open(name) as image:
                width = image.width
                if image.format == "JPEG":
                    image.draft(None, (2 * side, 2 * side))
                part = round(width / image.width)
            got = decode(name, name, (3, side, side), hush.data.PictureOptions(size=side))
            away = np.abs(got.astype(float) - whole(name, side, part))
            noise = 10 * np.log10(255**2 / max(1e-3, (away**2).mean()))
            found.setdefault((side, part), []).append((noise, (away <= 1).mean()))
    rows = [
        "Pictures read by hush against the same crop of the full decode, resized at one go:",
        "",
        "| side | decoded at | pictures | PSNR: lowest, 5 %, median | within one level of 255 |",
        "|---|---|---|---|---|",
    ]
    for (side, part), values in sorted(found.items()):
        noise, near = np.array(values).T
        low, five, middle = np.quantile(noise, (0, 0.05, 0.5))
        rows.append(
            f"| {side} | 1/{part} | {len(values)} | {low:.1f}, {five:.1f}, {middle:.1f} dB | "
            f"{near.mean():.1%} |"
        )
    return rows


def whole(name: str, side: int, part: int) -> np.ndarray:
    """The centre of a picture by a full decode, of the pixels that are whole ones at 1/part."""
    with Image.open(name) as image:
        image = image.convert("RGB")
    width, height = (length // part * part for length in image.size)
    edge = min(width, height)
    left, top = (width - edge) / 2, (height - edge) / 2
    if edge == side:
        left, top = (width - edge + 1) // 2, (height - edge + 1) // 2
    box = (left, top, left + edge, top + edge)
    small = image.resize((side, side), Image.Resampling.BICUBIC, box=box)
    return np.asarray(small).transpose(2, 0, 1).astype(float)


def waiting(folder: Path, steps: int) -> list[str]:
    """The share of its time that training waits for data: in the first epoch, and after it."""
    source = hush.data.images(folder, size=SIDE, channels=3, flip=True)
    backbone = Backbone(width=16, multipliers=(1, 2, 2), blocks=1, attention=(), dropout=0.0)
    system = hush.systems.ddpm(source.shape, backbone=backbone)
    system.codec.fit([source.read(range(256))["image"]], source.levels)
    rows = ["| training on | seconds a step | of it waiting |", "|---|---|---|"]
    for count, part in ((1, "first"), (2, "first"), (1, "second"), (2, "second")):
        torch.set_num_threads(count)
        data = hush.data.images(folder, size=SIDE, channels=3, flip=True)
        data = hush.data.Subset(data, range(256, 256 + steps * BATCH // 4))
        if part == "second":
            for at in range(0, len(data), BATCH):
                data.read(range(at, min(at + BATCH, len(data))))
        trainer = Trainer(system, Recipe(batch=BATCH), World(device=torch.device("cpu")))
        with closing(hush.data.batches(data, BATCH, workers=WORKERS)) as stream:
            trainer.learn(next(stream))
            began, waited = time.perf_counter(), 0.0
            for _ in range(steps // 4 - 1):
                asked = time.perf_counter()
                record = next(stream)
                waited += time.perf_counter() - asked
                trainer.learn(record)
            took = time.perf_counter() - began
        rows.append(
            f"| {count} threads, {part} epoch | {took / (steps // 4 - 1):.3f} | "
            f"{waited / took:.2%} |"
        )
    return rows


def rates(
    opening: dict[str, float], epochs: Sequence[dict[str, list[float]]], count: int
) -> list[str]:
    """Medians, ratios to hush round by round with their quartiles, and opening included."""
    rows = [
        f"| {count:,} pictures | opening | pictures a second: first epoch | second | hush faster: "
        "first epoch (quartiles) | second | opening and first epoch |",
        "|---|---|---|---|---|---|---|",
    ]
    total = {name: opening[name] + count / median(epochs[0][name]) for name in opening}
    for name in opening:
        said = [times_as_fast(part["hush"], part[name]) for part in epochs]
        speeds = [f"{median(part[name]):,.0f}" for part in epochs]
        rows.append(
            f"| {name} | {opening[name]:.1f} s | {speeds[0]} | {speeds[1]} | {said[0]} | "
            f"{said[1]} | {total[name] / total['hush']:.2f} |"
        )
    return rows


if __name__ == "__main__":
    main()
