"""What is in pictures: one pass over their headers, and one over their pixels."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from hush.data.decode import BrokenPicture
from hush.data.encoded import EncodedPictures
from hush.data.inspected.alike import digest, thumbnails
from hush.data.inspected.findings import Fact, Inspected, counted
from hush.data.inspected.judged import Seen, judged
from hush.data.parallel import in_parallel
from hush.data.source import InMemory, Source

MOST = 20_000  # pictures that are opened
_PART = 256


def inspected_pictures(source: Source, most: int = MOST) -> Inspected:
    """What pictures are and what is wrong with them.

    Headers and labels are looked at of all; of pixels those of `most` pictures, spread evenly, are
    decoded once, as training reads them (cropped in the centre, not mirrored). Kept of each is a
    digest, a thumbnail of 64 numbers and its range, so memory does not grow beyond that. `source`
    must have been opened with `skip_broken`, or be in memory.
    """
    chosen = list(range(len(source)))[:: -(-len(source) // most)]
    seen = _seen(source, chosen)
    return Inspected(source.name, _facts(source, seen), judged(source, seen))


def _seen(source: Source, chosen: Sequence[int]) -> Seen:
    """The pass over the pixels."""
    places, digests, thumbs, lows, highs, flat, broken = [], [], [], [], [], [], []
    for start in range(0, len(chosen), _PART):
        part = chosen[start : start + _PART]
        good = []
        for place, found in zip(part, _opened(source, part), strict=True):
            if isinstance(found, BrokenPicture):
                broken.append((source.called(place), found.reason))
            else:
                good.append(found)
                places.append(place)
        if good:
            images = torch.stack(good)
            digests += map(digest, images)
            thumbs.append(thumbnails(images))
            low, high = (end(images[:, :3].flatten(2), 2) for end in (torch.amin, torch.amax))
            lows.append(low.amin(1))
            highs.append(high.amax(1))
            flat.append((low == high).all(1))
    nothing = torch.empty(0)
    joined = (torch.cat(parts) if parts else nothing for parts in (thumbs, lows, highs, flat))
    return Seen(places, digests, *joined, broken)


def _opened(source: Source, part: Sequence[int]) -> Iterator[Tensor | BrokenPicture]:
    """The pictures of these positions, float32 (channel, height, width) in [0, 1], each or why it
    cannot be read."""
    if not isinstance(source, EncodedPictures):
        yield from source.read(part)["image"]
        return
    for found in in_parallel(source.tried, part):
        if isinstance(found, BrokenPicture):
            yield found
        else:
            whole = torch.from_numpy(np.array(found))  # what is kept must not be written to
            yield whole.float() / 255 if found.dtype == np.uint8 else whole


def _facts(source: Source, seen: Seen) -> tuple[Fact, ...]:
    count, opened = len(source), len(seen.places) + len(seen.broken)
    says = f"{count:,}, of which {opened:,} were opened, spread evenly"
    facts = [Fact("pictures", says if opened < count else f"{count:,}")]
    facts.append(Fact("sizes", _sizes(source)))
    facts.append(Fact("colours", _colours(source)))
    facts.append(Fact("levels", _levels(source)))
    if len(seen.lows):
        low, high = float(seen.lows.min()), float(seen.highs.max())
        facts.append(Fact("range", f"{low:.3g} to {high:.3g}, 0 being black and 1 white"))
    if source.classes:
        facts.append(Fact("classes", _classes(source)))
    height, width = source.shape[1:]
    facts.append(Fact("read as", f"{height}x{width}, {_channels(source.shape[0])}"))
    return tuple(facts)


def _sizes(source: Source) -> str:
    """Heights by widths: "all 8x8", "32x32 to 480x640, the middle one 256x256"."""
    if not isinstance(source, EncodedPictures):
        return "all " + "x".join(map(str, source.shape[1:]))
    sizes = source.sizes
    if (sizes == sizes[0]).all():
        return "all {}x{}".format(*sizes[0].tolist())
    order = sizes.amin(1).argsort()
    low, middle, high = (
        "{}x{}".format(*sizes[order[i]].tolist()) for i in (0, len(order) // 2, -1)
    )
    return f"{low} to {high}, the middle one {middle}"


def _colours(source: Source) -> str:
    grey = source.grey.sum().item() if isinstance(source, EncodedPictures) else None
    if grey is None or grey in (0, len(source)):
        return "grey" if grey or source.shape[0] == 1 else "colour"
    return f"{len(source) - grey:,} in colour, {grey:,} grey"


def _levels(source: Source) -> str:
    """Of how many grey levels they are."""
    if not isinstance(source, EncodedPictures):
        return "continuous" if source.levels is None else f"{source.levels:,}"
    depths, counts = source.depths.unique(return_counts=True)
    named = ["continuous" if depth == 0 else f"{depth:,}" for depth in depths.tolist()]
    if len(named) == 1:
        return named[0]
    return ", ".join(f"{n:,} of {name}" for n, name in zip(counts.tolist(), named, strict=True))


def _channels(count: int) -> str:
    return {1: "grey", 3: "colour", 4: "colour and alpha"}.get(count, f"{count} channels")


def _classes(source: Source) -> str:
    if not isinstance(source, EncodedPictures | InMemory) or source.labels is None:
        return counted(len(source.classes), "class", "classes")
    counts = torch.bincount(source.labels, minlength=len(source.classes))
    low, high = int(counts.min()), int(counts.max())
    each = f"{low:,}" if low == high else f"{low:,} to {high:,}"
    return f"{len(source.classes):,} of {each} pictures"
