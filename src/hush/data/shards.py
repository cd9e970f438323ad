"""WebDataset shards: pictures in .tar files, here or elsewhere, read where they lie."""

import glob
import io
import os
import re
from collections.abc import Sequence
from itertools import pairwise

import PIL

from hush.data.archive import Index, Member, index, packed, unpacked
from hush.data.decode import BrokenPicture, Header
from hush.data.encoded import EncodedPictures
from hush.data.images import walk
from hush.data.options import PictureOptions
from hush.data.parallel import in_parallel
from hush.data.remote import file_system, is_http, remote
from hush.data.shelf import LocalFile, RemoteFile, Stretches, cache_folder, keyed
from hush.data.store import Store
from hush.data.words import cause, shown
from hush.errors import UserError, nearest

ENDING = ".tar"
_LAYOUT = 1  # of a stored index
_BRACES = re.compile(r"\{([^{}]*)\}")
_RANGE = re.compile(r"(\d{1,18})\.\.(\d{1,18})")
_MOST = 1_000_000  # shards that braces may stand for


def shards(
    name: str, options: PictureOptions, column: str | None = None, label: str | None = None
) -> EncodedPictures:
    """The pictures of .tar shards: a file, a folder, a pattern (`*`, `{000..099}`) or an address.

    `column` is the ending of the pictures where samples have several, `label` that of the
    classes, or their key in .json; "cls" and "label" are found. Each shard is gone through once,
    and what was found is kept in the cache. Raises `UserError` naming the shard; with
    `skip_broken` the readable samples of a damaged one are used.
    """
    paths = shard_names(name)
    files = in_parallel(lambda i: _file(paths[i]), range(len(paths)))
    indices = in_parallel(lambda i: _indexed(files[i], label), range(len(files)))
    found = zip(files, indices, strict=True)
    damaged = {file.name: index.damage for file, index in found if index.damage}
    if damaged and not options.skip_broken:
        shard, reason = next(iter(damaged.items()))
        more = f", and {len(damaged) - 1:,} more like it" if len(damaged) > 1 else ""
        raise UserError(
            f"{shard} is damaged: {reason}{more}; get it again, or pass --skip-broken to use what "
            "can be read."
        )
    members = [_chosen(shown(name), found, column) for found in indices]
    store = Shards(files, members)
    if not len(store):
        raise UserError(_without_pictures(shown(name), indices, damaged))
    labels, classes = _classes(shown(name), store, label, options.labels)
    source = EncodedPictures(shown(name), store, options, labels, classes)
    source.broken.update(damaged)
    if damaged:
        source.notes += (f"{len(damaged):,} of {len(files):,} shards damaged",)
    return source


class Shards(Store):
    """The store of shards: the pictures of one after those of another."""

    def __init__(self, files: Sequence[Stretches], members: Sequence[Sequence[Member]]) -> None:
        self.files, self.members = files, [each for shard in members for each in shard]
        self.blocks = tuple(len(shard) for shard in members if shard)
        self._shard_of = [shard for shard, held in enumerate(members) for _ in held]
        self._counts = [len(shard) for shard in members]

    def __len__(self) -> int:
        return len(self.members)

    def open(self, item: int) -> io.BytesIO:
        shard, member = self._shard_of[item], self.members[item]
        held = self.files[shard].read(member.offset, member.size, 1 / self._counts[shard])
        if len(held) < member.size:
            raise BrokenPicture(self.name(item), f"only {len(held):,} of {member.size:,} bytes")
        return io.BytesIO(held)

    def head(self, item: int) -> Header:
        return self.members[item].header(self.name(item))

    def name(self, item: int) -> str:
        member = self.members[item]
        inside = shown(f"{member.name}.{member.ending}")
        return f"{self.files[self._shard_of[item]].name}:{inside}"

    def key(self, item: int) -> str:
        return self.name(item)

    def words(self, items: Sequence[int]) -> list[str]:
        members = (self.members[item] for item in items)
        return [f"{each.name}.{each.ending} {each.offset} {each.size}" for each in members]


def is_address(name: str) -> bool:
    """Whether a name is an address of fsspec or of the web, and no path."""
    return "://" in name


def shard_names(name: str) -> list[str]:
    """The shards that a path, folder, pattern or address means, in the order of their names.

    Raises `UserError` when there is none, or a file of another kind among them.
    """
    path = name if is_address(name) else os.path.expanduser(name)
    if os.path.isdir(path):
        found = [os.path.join(path, file) for file in walk(path) if file.endswith(ENDING)]
    elif os.path.exists(path):
        found = [path]
    else:
        found = [file for text in _unbraced(path) for file in _matching(text)]
    if not found:
        raise UserError(f"{shown(name)}: expected .tar shards; found none.")
    return found if "{" in path else sorted(found)


def _matching(text: str) -> list[str]:
    if not is_address(text):
        return sorted(glob.glob(text, recursive=True)) if glob.has_magic(text) else [text]
    if is_http(text) or not (text.endswith("/") or "*" in text):
        return [text]
    files, path = file_system(text)
    try:
        found = files.find(path) if text.endswith("/") else files.glob(path)
    except Exception as error:  # each file system has its own
        raise UserError(f"{shown(text)} cannot be listed: {cause(error)}.") from error
    return [files.unstrip_protocol(each) for each in sorted(found) if each.endswith(ENDING)]


def _unbraced(text: str) -> list[str]:
    """Every text that a brace pattern stands for, in order.

    >>> _unbraced("s-{08..10}.{a,b}")
    ['s-08.a', 's-08.b', 's-09.a', 's-09.b', 's-10.a', 's-10.b']
    """
    braces = _BRACES.search(text)
    if braces is None:
        return [text]
    span = _RANGE.fullmatch(braces[1])
    if span:
        first, last = int(span[1]), int(span[2])
        numbers = range(first, min(last, first + _MOST) + 1)
        parts = [f"{number:0{len(span[1])}}" for number in numbers]
    else:
        parts = braces[1].split(",")
    rests = _unbraced(text[braces.end() :])
    if len(parts) * len(rests) > _MOST:
        raise UserError(f"{shown(text)} stands for more than {_MOST:,} shards; name fewer.")
    return [text[: braces.start()] + part + rest for part in parts for rest in rests]


def _file(path: str) -> Stretches:
    return RemoteFile(remote(path)) if is_address(path) else LocalFile(path)


def _indexed(file: Stretches, label: str | None) -> Index:
    """The index of a shard: from the cache, or from a pass over it."""
    key = keyed(_LAYOUT, PIL.__version__, file.place, file.stamp, label)
    path = cache_folder("indices", key + ".json")
    try:
        with open(path, encoding="utf-8") as kept:
            return unpacked(kept.read())
    except (OSError, ValueError, KeyError, TypeError):
        pass  # none there, or one that another version wrote
    with file.whole() as stream:
        found = index(stream, file.name, label)
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(f"{path}.{os.getpid()}", "w", encoding="utf-8") as kept:
            kept.write(packed(found))
        os.replace(kept.name, path)
    except OSError:
        pass  # without a cache the pass is merely paid again
    return found


def _chosen(name: str, found: Index, column: str | None) -> list[Member]:
    """One picture of each sample."""
    if column is not None:
        endings = {member.ending for member in found.members}
        if endings and column not in endings:
            raise UserError(f"column={column}: {name} has none; {nearest(column, endings)}")
        return [member for member in found.members if member.ending == column]
    several = [one for one, after in pairwise(found.members) if one.name == after.name]
    if several:
        same = [each.ending for each in found.members if each.name == several[0].name]
        raise UserError(
            f"{name} has several pictures in a sample ({', '.join(map(shown, same))}); name one "
            "of these as the column."
        )
    return list(found.members)


def _without_pictures(name: str, indices: Sequence[Index], damaged: dict[str, str]) -> str:
    if damaged:
        shard, reason = next(iter(damaged.items()))
        return f"{name} has no picture that can be read; {shard} is damaged: {reason}."
    endings = sorted({shown(ending) for found in indices for ending in found.endings})
    held = ", ".join(f".{ending}" for ending in endings[:9]) or "nothing"
    return f"{name} has no pictures in its shards, only {held}; expected .jpg, .png or the like."


def _classes(
    name: str, store: Shards, label: str | None, wanted: bool | None
) -> tuple[list[int] | None, tuple[str, ...]]:
    """The label of each picture and the names of the classes, numbers in their order."""
    must = bool(wanted) or label is not None
    words = [member.label for member in store.members]
    missing = words.count(None)
    if wanted is False:
        return None, ()
    if missing and must:
        raise UserError(
            f"labels: {missing:,} of {len(words):,} samples of {name} have no class ("
            f"{label or '.cls, or label in .json'}); add it, or do not ask for labels."
        )
    names = sorted({word for word in words if word is not None})
    if missing or (len(names) < 2 and not must):
        return None, ()
    if all(re.fullmatch(r"-?[0-9]{1,18}", word) for word in names):
        names.sort(key=int)
    number = {word: i for i, word in enumerate(names)}
    return [number[word] for word in words], tuple(map(shown, names))
