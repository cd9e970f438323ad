"""What is wrong with pictures, from what was seen of them."""

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from hush.data.encoded import EncodedPictures
from hush.data.images import Files, is_picture, walk
from hush.data.inspected.alike import near, same
from hush.data.inspected.findings import Finding, counted, some
from hush.data.source import InMemory, Source
from hush.data.words import shown

FEW = 100  # pictures, or of a class 10: fewer are learnt by heart
RARE = 10
UNEVEN = 10  # times as many of the largest class as of the smallest
LOST = 0.5  # share of a picture that a crop may cost
DIM = 0.25  # deep pictures that are never brighter hold fewer bits than their files
UNREAD = (".heic", ".heif", ".raw", ".dng", ".cr2", ".nef", ".arw", ".psd", ".jxl", ".svg")


@dataclass(frozen=True)
class Seen:
    """What one pass over the pixels keeps of every picture it could read, and of those it could
    not."""

    places: list[int]
    digests: list[bytes]
    thumbs: Tensor
    lows: Tensor
    highs: Tensor
    flat: Tensor
    """Whether it is of one colour."""
    broken: list[tuple[str, str]]


def judged(source: Source, seen: Seen) -> tuple[Finding, ...]:
    """The findings, errors first."""
    found = [*_broken(source, seen), *_twice(source, seen), *_balance(source)]
    if isinstance(source, EncodedPictures):
        found += [*_depths(source, seen), *_mixed(source), *_fit(source), *_beside(source)]
    found += _flat(source, seen)
    if len(source) < FEW:
        found.append(
            Finding(
                "warning",
                f"{counted(len(source), 'picture')} in all: a model learns so few by heart",
                (),
                "add more, or take what it draws for copies",
            )
        )
    return tuple(sorted(found, key=lambda one: ("error", "warning", "note").index(one.severity)))


def _name(source: Source, place: int) -> str:
    """What a person calls a picture: in a folder its path from there."""
    if not isinstance(source, EncodedPictures):
        return f"picture {place}"
    if isinstance(source.store, Files):
        return shown(source.names()[place])
    return source.called(place)


def _broken(source: Source, seen: Seen) -> list[Finding]:
    """Files that the decoder cannot read, by their head or to their end, with its own reason."""
    noted = source.broken if isinstance(source, EncodedPictures) else {}
    broken = [*((str(key), reason) for key, reason in noted.items()), *seen.broken]
    if not broken:
        return []
    root = source.store.root if isinstance(source.store, Files) else ""
    where = [f"{shown(os.path.relpath(key, root) if root else key)}: {why}" for key, why in broken]
    what = f"{counted(len(broken), 'file')} cannot be read as a picture"
    return [Finding("error", what, some(where), "get them again, or pass --skip-broken")]


def _twice(source: Source, seen: Seen) -> list[Finding]:
    """The same picture twice, the same in two classes, and nearly the same."""
    groups, labels, found = same(seen.digests), _labels(source), []

    def told(pairs: Sequence[Sequence[int]]) -> tuple[str, ...]:
        return some([" = ".join(_name(source, seen.places[i]) for i in p[:2]) for p in pairs])

    if labels is not None:
        torn = [g for g in groups if len({int(labels[seen.places[i]]) for i in g}) > 1]
        if torn:
            what = f"{counted(len(torn), 'picture')} in more than one class"
            found.append(Finding("warning", what, told(torn), "keep each in one class"))
    if groups:
        extra = sum(len(group) - 1 for group in groups)
        what = f"{counted(extra, 'picture')} a second time, the same to the pixel"
        do = "remove them: what comes twice is learnt by heart, and held out it flatters"
        found.append(Finding("warning", what, told(groups), do))
    alone = sorted(set(range(len(seen.places))) - {i for group in groups for i in group[1:]})
    pairs = near(seen.thumbs[alone]) if len(alone) > 1 else []
    if pairs:
        count = len({j for _, j in pairs})
        what = f"{counted(count, 'picture')} nearly like another"
        do = "look at them: copies saved again, frames of one film"
        listed = told([(alone[i], alone[j]) for i, j in pairs])
        found.append(Finding("note", what, tuple(w.replace(" = ", " ~ ") for w in listed), do))
    return found


def _labels(source: Source) -> Tensor | None:
    return source.labels if isinstance(source, EncodedPictures | InMemory) else None


def _balance(source: Source) -> list[Finding]:
    """Classes of one or of few, and classes of very different sizes."""
    labels = _labels(source)
    if labels is None or len(source.classes) < 2:
        return []
    counts = torch.bincount(labels, minlength=len(source.classes)).tolist()
    by_size = sorted(zip(counts, source.classes, strict=True))
    rare = [(count, name) for count, name in by_size if count < RARE]
    if rare:
        what = f"{counted(len(rare), 'class', 'classes')} of fewer than {RARE} pictures"
        where = some([f"{name}: {count:,}" for count, name in rare])
        return [Finding("warning", what, where, "add to them, or put them together with another")]
    (least, small), (most, large) = by_size[0], by_size[-1]
    if most > UNEVEN * least:
        what = f"the largest class is {most / least:.0f} times the smallest"
        do = "the model will draw small classes worse; even them out if that matters"
        return [Finding("note", what, (f"{large}: {most:,}", f"{small}: {least:,}"), do)]
    return []


def _depths(source: EncodedPictures, seen: Seen) -> list[Finding]:
    """Pictures of another depth than most, and deep ones that use little of it."""
    depths, found = source.depths, []
    usual = int(depths.mode().values)
    others = (depths != usual).nonzero().flatten().tolist()
    if others:
        kinds = sorted({_depth(int(depths[i])) for i in others})
        what = f"{counted(len(others), 'picture')} of {' and '.join(kinds)} among {_depth(usual)}"
        do = "save all alike: samples are held to the finest levels of any"
        found.append(Finding("warning", what, some([_name(source, i) for i in others]), do))
    deep = [i for i, place in enumerate(seen.places) if depths[place] > 256]
    dim = [i for i in deep if seen.highs[i] < DIM]
    if dim:
        top = round(float(seen.highs[dim].max()) * 65535)
        what = f"{counted(len(dim), '16-bit picture')} with no value above {top:,} of 65,535"
        where = some([_name(source, seen.places[i]) for i in dim])
        found.append(
            Finding("warning", what, where, "stretch them to the whole range, or they are dark")
        )
    return found


def _depth(levels: int) -> str:
    return {0: "floating point", 256: "8 bits", 65536: "16 bits"}.get(levels, f"{levels:,} levels")


def _mixed(source: EncodedPictures) -> list[Finding]:
    """Grey pictures among those in colour, where few are the one or the other."""
    grey = int(source.grey.sum())
    rare = min(grey, len(source) - grey)
    if not rare:
        return []
    kind = "grey" if rare == grey else "in colour"
    wanted = source.grey if rare == grey else ~source.grey
    read = "grey" if source.shape[0] == 1 else "colour"
    what = f"{counted(rare, 'picture')} {kind} among {counted(len(source) - rare, 'other')}"
    where = some([_name(source, i) for i in wanted.nonzero().flatten().tolist()])
    return [Finding("note", what, where, f"all are read as {read}; --channels says otherwise")]


def _fit(source: EncodedPictures) -> list[Finding]:
    """Pictures that are smaller than they are read, and those that a crop takes much of."""
    height, width = source.shape[1:]
    sizes, found = source.sizes.double(), []
    small = ((sizes[:, 0] < height) | (sizes[:, 1] < width)).nonzero().flatten().tolist()
    if small:
        what = f"{counted(len(small), 'picture')} smaller than {height}x{width}, and blurred by it"
        where = some([_name(source, i) for i in small])
        found.append(
            Finding("warning", what, where, "remove them, or read all at a smaller --size")
        )
    if source.options.crop != "stretch":
        scale = torch.minimum(sizes[:, 0] / height, sizes[:, 1] / width)
        kept = scale**2 * height * width / sizes.prod(1)
        long = (kept < 1 - LOST).nonzero().flatten().tolist()
        if long:
            what = f"{counted(len(long), 'picture')} so long that a crop takes more than half"
            where = some([_name(source, i) for i in long])
            do = "crop them yourself, or pass --crop stretch"
            found.append(Finding("warning", what, where, do))
    return found


def _flat(source: Source, seen: Seen) -> list[Finding]:
    """Pictures of one colour."""
    flat = seen.flat.nonzero().flatten().tolist()
    if not flat:
        return []
    what = f"{counted(len(flat), 'picture')} of one colour throughout"
    where = some([_name(source, seen.places[i]) for i in flat])
    return [Finding("warning", what, where, "remove them, if they show nothing")]


def _beside(source: EncodedPictures) -> list[Finding]:
    """Files of a folder that are pictures of a kind hush does not read."""
    if not isinstance(source.store, Files):
        return []
    others = [name for name in walk(source.store.root) if not is_picture(name)]
    unread = [name for name in others if name.lower().endswith(UNREAD)]
    if not unread:
        return []
    kinds = Counter(os.path.splitext(name)[1].lower() for name in unread)
    what = f"of a kind that is not read: {', '.join(f'{n:,} {k}' for k, n in kinds.items())}"
    return [Finding("warning", what, some(list(map(shown, unread))), "convert them to PNG or JPEG")]
