"""Pictures in pairs: two folders with the same names in them."""

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from torch import Tensor

from hush.data.encoded import EncodedPictures
from hush.data.images import folder
from hush.data.options import Crop, PictureOptions, Place
from hush.data.source import Source, checksum
from hush.data.words import shown
from hush.errors import UserError

_NAMED = 3  # of those that a message is about


def pairs(
    path: str | os.PathLike[str],
    given: str | os.PathLike[str],
    size: int | tuple[int, int] | None = None,
    given_size: int | tuple[int, int] | None = None,
    channels: Literal[1, 3, 4] | None = None,
    crop: Crop = "centre",
    flip: bool = False,
    background: float = 1.0,
    labels: bool | None = None,
) -> "Pairs":
    """The pictures of a folder, each with the one of its name in the folder `given`, such as the
    sharp ones and the blurred.

    The arguments are those of `images`; `given_size` is `size` unless it is said. Of the given
    ones, all grey means one channel, else they have three. Raises `UserError` as `images` and
    `Pairs` do.
    """
    options = PictureOptions(size, channels, crop, flip, background, labels)
    return paired(path, given, options, given_size or size)


def paired(
    path: str | os.PathLike[str],
    given: str | os.PathLike[str],
    options: PictureOptions,
    given_size: int | tuple[int, int] | None = None,
) -> "Pairs":
    """`pairs`, with the options as one value."""
    theirs = replace(options, size=given_size, channels=None, labels=False)
    return Pairs(folder(path, options), folder(given, theirs))


class Pairs(Source):
    """Pictures, each with one that is given: what a model shall make, and what it is made from.

    A record batch has `"image"` and the labels of `source`, and `"given"` float32 (batch,
    *given_shape) of `given`. The order is that of `source`; partners have one name (in a folder the
    path within it) but for its ending. Both are cropped at the same place and mirrored alike; sides
    are equal or whole multiples, and the place is then one that begins on a pixel of both. The two
    sources are read by the pairs alone.

    Raises:
        UserError: pictures without a partner, two of one name, partners that are not of one form
            (unless stretched) or shapes that are no multiples, another crop for one than for the
            other, sources that skip broken pictures, since that would part the pairs.
    """

    def __init__(self, source: EncodedPictures, given: EncodedPictures) -> None:
        self.source, self.given = source, given
        self.name = f"{source.name} with {given.name}"
        self.shape, self.given_shape = source.shape, given.shape
        self.classes, self.levels, self.blocks = source.classes, source.levels, source.blocks
        _must_suit(source, given)
        self._partner = _partners(source, given)
        if source.options.crop != "stretch":
            self._must_be_alike()
        beside = "x".join(map(str, given.shape))
        self.notes = (*source.notes, f"each with one of {beside} given", *given.notes)

    def __len__(self) -> int:
        return len(self.source)

    def read(self, indices: Sequence[int], draws: Sequence[int] | None = None) -> dict[str, Tensor]:
        here = [range(len(self))[i] for i in indices]
        seeds, views = [None] * len(here) if draws is None else draws, []
        for item, draw in zip(here, seeds, strict=True):
            place, mirror = self.source.options.drawn(draw)
            views.append((self._on_pixels(item, place), mirror))
        given = self.given.read_views([self._partner[item] for item in here], views)
        return {**self.source.read_views(here, views), "given": given["image"]}

    def digest(self) -> str:
        return checksum(self.source.digest(), self.given.digest())

    def _on_pixels(self, item: int, place: Place) -> Place:
        """The place, moved to the nearest where a crop that is not resampled begins on a pixel.

        Of two such crops the one with less slack has the coarser pixels, and n + 1 places: k/n of
        the slack, k of 0 … n, are whole pixels of the other too where it is a multiple.
        """
        slacks = [
            (width - shape[2], height - shape[1])
            for (height, width), shape in self._sizes_and_shapes(item)
            if min(width / shape[2], height / shape[1]) == 1
        ]
        return tuple(
            _snapped(part, [slack[axis] for slack in slacks]) for axis, part in enumerate(place)
        )

    def _sizes_and_shapes(self, item: int) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
        return [
            (tuple(self.source.sizes[item].tolist()), self.shape),
            (tuple(self.given.sizes[self._partner[item]].tolist()), self.given_shape),
        ]

    def _must_be_alike(self) -> None:
        """Partners show the same part: their forms differ by no more than a pixel."""
        height, width = self.source.sizes.long().unbind(1)
        their_height, their_width = self.given.sizes[self._partner].long().unbind(1)
        gap = (width * their_height - their_width * height).abs()
        off = (gap > height.maximum(their_height)).nonzero().flatten().tolist()
        if off:
            sizes = ["x".join(map(str, size[::-1])) for size, _ in self._sizes_and_shapes(off[0])]
            raise UserError(
                f"{shown(self.source.names()[off[0]])} is {sizes[0]} pixels in {self.source.name} "
                f"and {sizes[1]} in {self.given.name}, and so with {len(off):,} of the pairs: a "
                "pair must show the same part, larger or smaller; or pass crop='stretch'."
            )


def _snapped(part: float, slacks: Sequence[int]) -> float:
    slack = min(slacks, default=0)
    return min(int(part * (slack + 1)), slack) / slack if slack else part


def _must_suit(source: EncodedPictures, given: EncodedPictures) -> None:
    crops = source.options.crop, given.options.crop
    if crops[0] != crops[1]:
        raise UserError(
            f"{source.name} is read with crop={crops[0]} and {given.name} with crop={crops[1]}: "
            "pairs must be cropped alike, so give both the same."
        )
    if source.options.skip_broken or given.options.skip_broken:
        raise UserError(
            f"{source.name} with {given.name}: skip_broken would leave a picture without its "
            "partner; leave it out, and move broken pictures away."
        )
    (_, height, width), (_, low, narrow) = source.shape, given.shape
    whole = (height % low == 0) if height >= low else (low % height == 0)
    if height * narrow != width * low or not whole:
        raise UserError(
            f"{source.name} is read as {height}x{width} (height, width) and {given.name} as "
            f"{low}x{narrow}: expected the same, or a whole multiple; pass sizes that are."
        )


def _partners(source: EncodedPictures, given: EncodedPictures) -> list[int]:
    """For each picture of `source` the number of its partner in `given`."""
    ours, theirs = _named(source), _named(given)
    alone = [
        f"{shown(one.name)} has {len(names):,} without a partner in {shown(other.name)} "
        f"({_some(names)})"
        for one, other, names in (
            (source, given, [name for name in ours if name not in theirs]),
            (given, source, [name for name in theirs if name not in ours]),
        )
        if names
    ]
    if alone:
        raise UserError(
            f"{'; '.join(alone)}. Partners have the same name, but for its ending, and lie in "
            "subfolders of the same name: rename them, or move away those that have none."
        )
    return [theirs[name] for name in ours]


def _named(source: EncodedPictures) -> dict[str, int]:
    """The number of every picture under its name without the ending, in their order."""
    names = [os.path.splitext(name)[0] for name in source.names()]
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise UserError(
            f"{source.name} has {len(twice):,} names that more than one picture bears, but for its "
            f"ending ({_some(twice)}), so it is not clear which of them has the partner; rename "
            "them or move them away."
        )
    return {name: item for item, name in enumerate(names)}


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED:,} more" if len(names) > _NAMED else ""
    return ", ".join(map(shown, names[:_NAMED])) + more
