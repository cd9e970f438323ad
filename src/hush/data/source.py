"""What every kind of data looks like from above: records by index, with no state of its own."""

from abc import ABC, abstractmethod
from array import array
from bisect import bisect_right
from collections.abc import Sequence
from html import escape
from itertools import accumulate, groupby, pairwise
from typing import Any
from zlib import crc32

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from hush.errors import UserError


class Source(ABC):
    """Records (with a class each, or without) that can be read by index, as often as one likes.

    A record batch is a `dict`: of pictures `"image"` float32 (batch, channel, height, width) in
    [0, 1], of other data what their source says, and, where it has classes, `"label"` int64
    (batch,).
    """

    name: str
    """What the user called it, for messages and for the run's record."""
    shape: tuple[int, ...]
    """The shape of one event: (channel, height, width), or (channel, length)."""
    classes: tuple[str, ...] = ()
    """The names of the classes in the order of their labels; empty without labels."""
    channels: tuple[str, ...] = ()
    """The names of the channels, where they have any."""
    levels: int | None = None
    """How many grey levels lie evenly in [0, 1], both ends included; None when continuous."""
    notes: tuple[str, ...] = ()
    """What the user should know about how the data were read; the end of the summary."""
    blocks: tuple[int, ...] = ()
    """How many records lie in each file, in order, where a file is better read at one stretch."""

    @abstractmethod
    def __len__(self) -> int:
        """The number of records."""

    @abstractmethod
    def read(self, indices: Sequence[int], draws: Sequence[int] | None = None) -> dict[str, Tensor]:
        """The record batch of these items.

        `draws` holds one integer per item, the seed of that item's augmentation (random crop,
        flip) and of nothing else; None reads without augmentation (centre crop, no flip).
        Raises `UserError` naming the file that cannot be read.
        """

    @abstractmethod
    def digest(self) -> str:
        """Eight hex digits that change when the records do: their number, names and labels.

        No picture is opened for it, so one that was painted over in its place goes unnoticed.
        """

    def summary(self) -> str:
        """One line for a person: "1,797 pictures, 1x8x8, 17 grey levels, 10 classes"."""
        count = len(self)
        parts = [f"{count:,} picture{'' if count == 1 else 's'}", "x".join(map(str, self.shape))]
        parts.append("continuous" if self.levels is None else f"{self.levels:,} grey levels")
        if self.classes:
            parts.append(f"{len(self.classes)} class{'' if len(self.classes) == 1 else 'es'}")
        return "; ".join([", ".join(parts), *self.notes])

    def __repr__(self) -> str:
        return f"{self.name}: {self.summary()}"

    def _repr_html_(self) -> str:
        from hush.data.preview import MOST, show

        count = min(len(self), MOST)
        record = self.read([place * len(self) // count for place in range(count)]) if count else {}
        shown = (show(record[name]) for name in ("image", "series") if name in record)
        return "".join(one._repr_html_() + "<br>" for one in shown) + escape(repr(self))

    def parted(self, fraction: float, most: int, seed: int) -> tuple["Source", "Source"]:
        """(to learn from, held out): records at random, unless they overlap, as windows do."""
        count = len(self)
        if count < 2:
            raise UserError(
                f"{self.name} has {count} picture{'' if count == 1 else 's'}; a held-out part "
                "needs at least 2, so add more or train without holding any out."
            )
        held = min(most, max(1, round(fraction * count)), count - 1)
        generator = torch.Generator().manual_seed(seed)
        shuffled = torch.randperm(count, generator=generator)
        # Sorted, so that reading through either part goes through the disk in order.
        parts = (shuffled[held:], shuffled[:held])
        train, held_out = (Subset(self, part.sort().values.tolist()) for part in parts)
        return train, held_out


class Subset(Source):
    """Some of the records of another source, in the order of `indices`."""

    def __init__(self, source: Source, indices: Sequence[int]) -> None:
        self.source, self.indices = source, tuple(indices)
        self.name, self.shape, self.classes = source.name, source.shape, source.classes
        self.levels, self.notes = source.levels, source.notes
        self.blocks = blocks_of(source.blocks, self.indices)

    def __len__(self) -> int:
        return len(self.indices)

    def read(self, indices: Sequence[int], draws: Sequence[int] | None = None) -> dict[str, Tensor]:
        return self.source.read([self.indices[i] for i in indices], draws)

    def digest(self) -> str:
        return checksum(self.source.digest(), array("q", self.indices))


def blocks_of(blocks: Sequence[int], indices: Sequence[int]) -> tuple[int, ...]:
    """How many of the items `indices` lie in each block; () where they do not go block by block.

    >>> blocks_of((3, 2, 4), [0, 2, 5, 6, 8])
    (2, 3)
    """
    ends = list(accumulate(blocks))
    places = [bisect_right(ends, index) for index in indices] if ends else []
    in_order = all(place <= after for place, after in pairwise(places))
    return tuple(len(list(same)) for _, same in groupby(places)) if in_order else ()


def checksum(*parts: str | Any) -> str:
    """The CRC-32 of texts and arrays, as eight hex digits."""
    value = 0
    for part in parts:
        text = isinstance(part, str)
        value = crc32(part.encode("utf-8", "surrogateescape") + b"\0" if text else part, value)
    return f"{value:08x}"


class InMemory(Source):
    """Pictures already in memory: `images` (count, channel, height, width) in [0, 1].

    `labels` (count,) are indices into `classes`, which are named "0", "1", … when left out.
    They are kept as given and never augmented. Raises `UserError` for shapes, values or labels
    that do not fit each other.
    """

    def __init__(
        self,
        images: Float[Tensor, "count channel height width"],
        labels: Int64[Tensor, " count"] | None = None,
        classes: Sequence[str] = (),
        levels: int | None = None,
        name: str = "memory",
    ) -> None:
        if images.ndim != 4 or not images.is_floating_point():
            raise UserError(
                f"{name}: images are {images.dtype} of shape {tuple(images.shape)}; expected "
                "floating point (count, channel, height, width) in [0, 1]."
            )
        if images.numel() and not (images.min() >= 0 and images.max() <= 1):
            raise UserError(
                f"{name}: images lie in [{float(images.min()):g}, {float(images.max()):g}]; "
                "expected [0, 1], so rescale them first."
            )
        if classes and labels is None:
            raise UserError(f"{name}: {len(classes)} classes but no labels; pass labels as well.")
        if labels is not None:
            classes = _checked_classes(name, len(images), labels, classes)
        self.images = images.to(torch.float32)
        self.labels = None if labels is None else labels.to(torch.int64)
        self.name, self.shape, self.classes = name, tuple(images.shape[1:]), tuple(classes)
        self.levels = levels

    def __len__(self) -> int:
        return len(self.images)

    def read(self, indices: Sequence[int], draws: Sequence[int] | None = None) -> dict[str, Tensor]:
        index = torch.as_tensor(indices, dtype=torch.int64)
        record = {"image": self.images[index]}
        if self.labels is not None:
            record["label"] = self.labels[index]
        return record

    def digest(self) -> str:
        arrays = [self.images] if self.labels is None else [self.images, self.labels]
        held = [part.cpu().contiguous().numpy().reshape(-1) for part in arrays]
        return checksum(str(self.shape), *self.classes, *held)


def _checked_classes(
    name: str, count: int, labels: Tensor, classes: Sequence[str]
) -> Sequence[str]:
    if labels.shape != (count,):
        raise UserError(
            f"{name}: labels are {tuple(labels.shape)}; expected ({count},), one per picture."
        )
    low, high = (int(labels.min()), int(labels.max())) if count else (0, -1)
    classes = classes or tuple(str(i) for i in range(high + 1))
    if low < 0 or high >= len(classes):
        raise UserError(
            f"{name}: labels run from {low} to {high}; expected 0 to {len(classes) - 1}, "
            "one for each class."
        )
    return classes


def split(
    source: Source, fraction: float = 0.05, most: int = 1024, seed: int = 0
) -> tuple[Source, Source]:
    """Part a source into (train, held out), the same way each time, blind to classes.

    Held out are `fraction` of the records, at least one and at most `most`; of series the last, in
    time. Raises `UserError` when nothing would be left to train on, or for a fraction outside
    (0, 1).
    """
    if not 0 < fraction < 1:
        raise UserError(f"fraction={fraction}: expected a number between 0 and 1, such as 0.05.")
    if most < 1:
        raise UserError(f"most={most}: expected at least 1 held-out picture.")
    return source.parted(fraction, most, seed)
