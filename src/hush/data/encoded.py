"""Pictures that stay in their files until they are asked for."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from hush.data.decode import BrokenPicture, Header, decode, unit
from hush.data.decoded import Decoded
from hush.data.options import CENTRE, PictureOptions, View
from hush.data.parallel import in_parallel
from hush.data.source import Source, blocks_of, checksum
from hush.data.store import Store
from hush.errors import UserError

DEFAULT_SIDE = 32  # of pictures of many sizes


class EncodedPictures(Source):
    """The pictures of a store, decoded as they are first read, several at a time.

    They are kept decoded where they fit (`Decoded`), unless crops are random; what is read is the
    same either way. Construction reads only headers: they settle the shape, the levels and which
    pictures are broken from the first byte on. `labels` holds one class index per picture of the
    store, or is None. `sizes` are the heights and widths that the pictures have by themselves,
    `grey` and `depths` whether they hold no colour and how many levels (0 where continuous);
    `broken` tells why pictures were left out (only with `skip_broken`).
    """

    def __init__(
        self,
        name: str,
        store: Store,
        options: PictureOptions,
        labels: Sequence[int] | None = None,
        classes: Sequence[str] = (),
    ) -> None:
        self.name, self.store, self.options = name, store, options
        self.broken: dict[object, str] = {}
        found = in_parallel(self._header, range(len(store)))
        heads = {i: head for i, head in enumerate(found) if isinstance(head, Header)}
        self._report([head for head in found if isinstance(head, BrokenPicture)])
        if not heads:
            raise UserError(
                f"{name}: none of its {len(store):,} pictures can be read; the first, "
                f"{store.name(0)}: {self.broken[store.key(0)]}."
            )
        self._items = list(heads)
        self.blocks = blocks_of(store.blocks, self._items)
        self._unreadable: set[int] = set()  # positions, found out while decoding
        self.classes = tuple(classes)
        self._labels = None if labels is None else torch.tensor([labels[i] for i in heads])
        self.sizes = torch.tensor([head.size for head in heads.values()], dtype=torch.int32)
        self.shape, notes = _shape(list(heads.values()), options)
        left_out = (f"{len(self.broken):,} broken left out",) if self.broken else ()
        self.notes = notes + left_out
        self.grey = torch.tensor([head.grey for head in heads.values()])
        levels = [head.levels for head in heads.values()]
        self.depths = torch.tensor([level or 0 for level in levels], dtype=torch.int32)
        self.levels = None if None in levels else max(levels)
        count = 0 if options.crop == "random" else len(self)  # else never the same again
        self._kept = Decoded(count, self.shape, np.uint8 if self.levels == 256 else np.float32)

    def __len__(self) -> int:
        return len(self._items)

    def read(self, indices: Sequence[int], draws: Sequence[int] | None = None) -> dict[str, Tensor]:
        """See `Source.read`, and `read_views`."""
        seeds = [None] * len(indices) if draws is None else draws
        return self.read_views(indices, [self.options.drawn(draw) for draw in seeds])

    def read_views(self, indices: Sequence[int], views: Sequence[View]) -> dict[str, Tensor]:
        """The record batch of these items, each cropped and mirrored as its view says.

        With `skip_broken`, a picture that turns out not to be readable is replaced by the next one
        that is, and noted in `broken`.
        """
        taken = [range(len(self))[i] for i in indices]  # so that a wrong index is an IndexError
        images = torch.empty((len(taken), *self.shape), dtype=torch.float32)
        pixels = images.numpy()

        def fill(slot: int) -> None:
            place, mirror = views[slot]
            taken[slot], picture = self._readable(taken[slot], place)
            unit(picture[:, :, ::-1] if mirror else picture, pixels[slot])

        missing = []
        for slot, position in enumerate(taken):
            missing.append(slot) if self._kept.get(position) is None else fill(slot)
        in_parallel(fill, missing)
        record = {"image": images}
        if self._labels is not None:
            record["label"] = self._labels[torch.tensor(taken, dtype=torch.int64)]
        return record

    def digest(self) -> str:
        labels = () if self._labels is None else (self._labels.numpy(),)
        return checksum(*self.names(), *self.classes, *labels)

    def names(self) -> list[str]:
        """What tells its pictures apart, as the store has it: in a folder their paths."""
        return list(self.store.words(self._items))

    def check(self) -> None:
        """Decode every picture once, several at a time.

        Raises `BrokenPicture` for the first that cannot be read; with `skip_broken`, notes them
        all in `broken` instead.
        """

        def broken(position: int) -> BrokenPicture | None:
            found = self.tried(position)
            return found if isinstance(found, BrokenPicture) else None

        found = in_parallel(broken, range(len(self)))
        self._report([error for error in found if error is not None])

    def tried(self, position: int) -> np.ndarray | BrokenPicture:
        """The picture at this position as `decode` gives it, its crop in the centre, or why it
        cannot be read."""
        try:
            return self._decoded(position, CENTRE)
        except BrokenPicture as error:
            self._unreadable.add(position)
            return error

    def called(self, position: int) -> str:
        """What to call the picture at this position in a message."""
        return self.store.name(self._items[position])

    def _report(self, errors: Sequence[BrokenPicture]) -> None:
        """Note broken pictures where the user asked to skip them; else raise the first."""
        if errors and not self.options.skip_broken:
            raise BrokenPicture(errors[0].name, errors[0].reason, len(errors) - 1)
        self.broken.update({error.key: error.reason for error in errors})

    @property
    def labels(self) -> Tensor | None:
        """The class of each picture, where they have classes."""
        return self._labels

    def _header(self, item: int) -> Header | BrokenPicture:
        try:
            return self.store.head(item)
        except BrokenPicture as error:
            error.key = self.store.key(item)
            return error

    def _decoded(self, position: int, place: tuple[float, float]) -> np.ndarray:
        """See `decode`: as it was kept, or decoded now and kept."""
        picture = self._kept.get(position)
        if picture is None:
            item = self._items[position]
            try:
                file, name = self.store.open(item), self.store.name(item)
                picture = decode(file, name, self.shape, self.options, place)
            except BrokenPicture as error:
                error.key = self.store.key(item)
                raise
            self._kept.keep(position, picture)
        return picture

    def _readable(self, position: int, place: tuple[float, float]) -> tuple[int, np.ndarray]:
        """The picture at this position, or the next readable one where that is allowed."""
        for step in range(len(self)):
            candidate = (position + step) % len(self)
            if candidate in self._unreadable and self.options.skip_broken:
                continue
            try:
                return candidate, self._decoded(candidate, place)
            except BrokenPicture as error:
                if not self.options.skip_broken:
                    raise
                self._unreadable.add(candidate)
                self.broken[error.key] = error.reason
        raise UserError(f"{self.name}: none of its {len(self):,} pictures can be read to the end.")


def _shape(
    heads: Sequence[Header], options: PictureOptions
) -> tuple[tuple[int, int, int], tuple[str, ...]]:
    """(channel, height, width) of all, and what to tell the user about the choice."""
    channels = options.channels or (1 if all(head.grey for head in heads) else 3)
    sizes, notes = {head.size for head in heads}, ()
    size = options.height_width
    if size is None and len(sizes) == 1:
        (size,) = sizes
    elif size is None:
        size = (DEFAULT_SIDE, DEFAULT_SIDE)
        notes = (f"mixed sizes, resized to {size[0]}x{size[1]}",)
    return (channels, *size), notes
