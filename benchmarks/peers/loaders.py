"""Readers of pictures: hush's, and what everybody writes with torch or threads around Pillow."""

import random
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

import hush

BATCH, SIDE, WORKERS = 64, 64, 2
Reader = Callable[[Sequence[int]], Iterator[Tensor]]


def fitted(image: Image.Image, resample: Image.Resampling, draft: bool = False) -> Tensor:
    """Colour, resized, its centre, mirrored or not: what everybody writes."""
    if draft:
        image.draft("RGB", (2 * SIDE, 2 * SIDE))
    image = image.convert("RGB")
    scale = SIDE / min(image.size)
    image = image.resize([max(SIDE, round(side * scale)) for side in image.size], resample)
    left, top = (image.width - SIDE) // 2, (image.height - SIDE) // 2
    pixels = np.array(image.crop((left, top, left + SIDE, top + SIDE)))
    tensor = torch.from_numpy(pixels).permute(2, 0, 1).contiguous().float().div_(255)
    return tensor.flip(-1) if random.random() < 0.5 else tensor


class Files(Dataset):
    """A folder for torch's DataLoader."""

    def __init__(self, files: list[str], *how: Image.Resampling | bool) -> None:
        self.files, self.how = files, how

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, item: int) -> Tensor:
        with Image.open(self.files[item]) as image:
            return fitted(image, *self.how)


class Stretch(Sampler):
    """The batches of one round, for workers that stay."""

    def __init__(self) -> None:
        self.items: Sequence[int] = ()

    def __iter__(self) -> Iterator[list[int]]:
        return (list(self.items[at : at + BATCH]) for at in range(0, len(self.items), BATCH))


def loader(data: Dataset) -> Reader:
    """torch's DataLoader: worker processes, here already started."""
    part = Stretch()
    several = DataLoader(data, batch_sampler=part, num_workers=WORKERS, persistent_workers=True)

    def read(items: Sequence[int]) -> Iterator[Tensor]:
        part.items = items
        return (got["image"] if isinstance(got, dict) else got for got in several)

    list(read(range(BATCH)))
    return read


def threads(data: Dataset) -> Reader:
    """The simplest of readers: a pool of threads, a batch each."""

    def read(items: Sequence[int]) -> Iterator[Tensor]:
        parts = [items[at : at + BATCH] for at in range(0, len(items), BATCH)]
        with ThreadPoolExecutor(WORKERS) as pool:
            yield from pool.map(lambda part: torch.stack([data[i] for i in part]), parts)

    return read


def hush_reader(folder: Path) -> Reader:
    """hush's own batches, of a source that stays open."""
    source = hush.data.images(folder, size=SIDE, channels=3, flip=True)

    def read(items: Sequence[int]) -> Iterator[Tensor]:
        part = hush.data.Subset(source, items)
        with closing(hush.data.batches(part, BATCH, workers=WORKERS)) as stream:
            yield from (record["image"] for record in islice(stream, len(items) // BATCH))

    return read
