"""What a tar archive of samples holds, found in one pass; nothing is ever extracted.

A sample is all members that share their name up to the first dot of its last part, as WebDataset
has it. Names are only names, links and devices are passed over, and where one member comes twice
the later one counts, as for tar itself.
"""

import io
import json
import tarfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass

from hush.data.decode import BrokenPicture, Header, header
from hush.data.images import is_picture
from hush.data.words import cause, shown

LABELS = ("cls", "label")  # the endings, and the keys in .json, that hold a class
_LONGEST_LABEL, _LONGEST_JSON = 1 << 12, 1 << 20  # bytes
_BLOCK = 512  # of tar, which ends with two blocks of zeros


@dataclass(frozen=True)
class Member:
    """A picture in an archive."""

    name: str
    """The name of its sample."""
    ending: str
    """What follows: "jpg", "left.png"."""
    offset: int
    size: int
    label: str | None
    """The class of its sample."""
    head: tuple[int, int, bool, int | None] | str
    """(height, width, grey, levels), or why it cannot be read."""

    def header(self, name: str) -> Header:
        """What the picture says of itself; raises `BrokenPicture`, which calls it `name`."""
        if isinstance(self.head, str):
            raise BrokenPicture(name, self.head)
        height, width, grey, levels = self.head
        return Header((height, width), grey, levels)


@dataclass(frozen=True)
class Index:
    """The pictures of an archive, in the order of their samples."""

    members: tuple[Member, ...]
    damage: str = ""
    """Why the archive could not be read to its end; "" when it could."""
    endings: tuple[str, ...] = ()
    """Some endings of its members, for a message when there is no picture among them."""


def index(file: io.BufferedIOBase, name: str, label: str | None = None) -> Index:
    """One pass over the archive `file`, called `name`; `label` is the ending or key of classes."""
    wanted = LABELS if label is None else (label,)
    samples: dict[str, dict[str, tarfile.TarInfo]] = {}
    size = file.seek(0, io.SEEK_END)
    file.seek(0)
    try:
        with tarfile.open(fileobj=file, mode="r:") as archive:
            damage = ""
            try:
                for member in _files(archive, size):
                    sample, ending = _parted(member.name)
                    if ending:
                        samples.setdefault(sample, {})[ending] = member
                damage = _end(file, archive.offset)
            except (tarfile.TarError, ValueError, OverflowError, EOFError) as error:
                damage = cause(error)
            if damage:
                _drop_cut(samples)
            found = [
                member
                for sample, members in samples.items()
                for member in _pictures(archive, name, sample, members, wanted)
            ]
    except (tarfile.TarError, ValueError, OverflowError, EOFError) as error:
        return Index((), f"it is no tar archive ({cause(error)})")
    endings = sorted({ending for members in samples.values() for ending in members})
    return Index(tuple(found), damage, tuple(endings[:9]))


def _files(archive: tarfile.TarFile, size: int) -> Iterator[tarfile.TarInfo]:
    """The plain files of an archive; raises `EOFError` at one that reaches over its end."""
    for member in archive:
        if not member.isreg() or member.issparse():
            continue
        if member.size < 0 or member.offset_data + member.size > size:
            raise EOFError(f"it ends within {shown(member.name)}")
        yield member


def _end(file: io.BufferedIOBase, offset: int) -> str:
    """What is wrong with an archive whose last header lies before `offset`: "" or a reason."""
    file.seek(offset)
    mark = file.read(_BLOCK)
    if len(mark) < _BLOCK:
        return f"it ends at byte {offset:,}, without the mark of an end"
    return f"there is no member at byte {offset:,}, nor an end" if any(mark) else ""


def _parted(name: str) -> tuple[str, str]:
    """("a/b", "left.png") of "a/b.left.png"; the ending of a hidden file is ""."""
    folder, slash, last = name.rpartition("/")
    stem, _, ending = last.partition(".")
    return folder + slash + stem, ending.lower() if stem else ""


def _drop_cut(samples: dict[str, dict[str, tarfile.TarInfo]]) -> None:
    """Leave out the last sample unless it has all that the first one has."""
    if samples:
        last, first = next(reversed(samples)), next(iter(samples))
        if samples[last].keys() != samples[first].keys():
            del samples[last]


def _pictures(
    archive: tarfile.TarFile,
    name: str,
    sample: str,
    members: dict[str, tarfile.TarInfo],
    wanted: tuple[str, ...],
) -> Iterator[Member]:
    endings = [ending for ending in members if is_picture("." + ending)]
    label = _label(archive, members, wanted) if endings else None
    for ending in endings:
        member = members[ending]
        try:
            seen = header(archive.extractfile(member), f"{name}:{shown(member.name)}")
            head = (*seen.size, seen.grey, seen.levels)
        except BrokenPicture as error:
            head = error.reason
        yield Member(sample, ending, member.offset_data, member.size, label, head)


def _label(
    archive: tarfile.TarFile, members: dict[str, tarfile.TarInfo], wanted: tuple[str, ...]
) -> str | None:
    """The class of a sample: the text of a member, else a value of its .json."""
    for ending in wanted:
        if ending in members and members[ending].size <= _LONGEST_LABEL:
            text = archive.extractfile(members[ending]).read()
            return text.decode("utf-8", "backslashreplace").strip() or None
    if "json" in members and members["json"].size <= _LONGEST_JSON:
        try:
            values = json.load(archive.extractfile(members["json"]))
        except (ValueError, RecursionError):
            return None
        for key in wanted if isinstance(values, dict) else ():
            if isinstance(values.get(key), (int, str)):
                return str(values[key]).strip() or None
    return None


def packed(found: Index) -> str:
    """An index as text."""
    return json.dumps(
        {**asdict(found), "members": [list(vars(member).values()) for member in found.members]}
    )


def unpacked(text: str) -> Index:
    """The index that was packed; raises `ValueError`, `KeyError` or `TypeError` if it was none."""
    values = json.loads(text)
    members = (
        Member(*rest, tuple(head) if isinstance(head, list) else head)
        for *rest, head in values["members"]
    )
    return Index(tuple(members), values["damage"], tuple(values["endings"]))
