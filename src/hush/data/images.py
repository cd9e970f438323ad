"""A folder of pictures as a source."""

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

from hush.data.decode import ENDINGS
from hush.data.encoded import EncodedPictures
from hush.data.options import Crop, PictureOptions
from hush.data.store import Store
from hush.data.words import shown
from hush.errors import UserError

_CLUTTER = ("__macosx", "thumbs.db", "desktop.ini")


def images(
    path: str | os.PathLike[str],
    size: int | tuple[int, int] | None = None,
    channels: Literal[1, 3, 4] | None = None,
    crop: Crop = "centre",
    flip: bool = False,
    background: float = 1.0,
    skip_broken: bool = False,
    labels: bool | None = None,
) -> EncodedPictures:
    """The pictures of a folder and its subfolders, in the order of their names.

    The arguments are those of `PictureOptions`. Subfolders of the first level are classes when
    there are two or more of them and every picture lies in one. Pixels are decoded on reading,
    so the folder may be larger than memory. Raises `UserError` naming the file or argument.
    """
    return folder(
        path,
        PictureOptions(
            size=size,
            channels=channels,
            crop=crop,
            flip=flip,
            background=background,
            labels=labels,
            skip_broken=skip_broken,
        ),
    )


def folder(path: str | os.PathLike[str], options: PictureOptions) -> EncodedPictures:
    """`images`, with the options as one value."""
    root = os.path.expanduser(os.fspath(path))
    if not os.path.exists(root):
        raise UserError(f"{shown(root)} does not exist; expected a folder of pictures.")
    if os.path.isfile(root) and is_picture(root):
        parent, name = os.path.split(root)
        return EncodedPictures(shown(root), Files(parent, [name]), options)
    if not os.path.isdir(root):
        raise UserError(
            f"{shown(root)} is not a picture (its name ends in none of {', '.join(ENDINGS)}); "
            "expected a folder of pictures."
        )
    files = sorted(file for file in walk(root) if is_picture(file))
    if not files:
        raise UserError(
            f"{shown(root)} has no pictures: looked in it and its subfolders for files ending in "
            f"{', '.join(ENDINGS)}, found {_instead(root)}; put pictures there or name another."
        )
    labels, classes = _classes(root, files, options.labels)
    return EncodedPictures(shown(root), Files(root, files), options, labels, classes)


class Files(Store):
    """The store of a folder: paths relative to its root."""

    def __init__(self, root: str, files: list[str]) -> None:
        self.root, self.files = root, files

    def __len__(self) -> int:
        return len(self.files)

    def open(self, item: int) -> str:
        return os.path.join(self.root, self.files[item])

    def name(self, item: int) -> str:
        return shown(self.open(item))

    def key(self, item: int) -> Path:
        return Path(self.open(item))

    def words(self, items: Sequence[int]) -> list[str]:
        return [self.files[item] for item in items]


def is_picture(name: str) -> bool:
    """Whether a file is called like a picture."""
    return name.lower().endswith(ENDINGS)


def walk(root: str) -> Iterator[str]:
    """Every file below `root`, relative to it, each real folder once, hidden ones left out.

    Linked folders are followed after all real ones, so that a picture is known by its own
    place and only then by a link's; a link to a folder above `root` would bring in `root`
    again with all its neighbours, and is not followed. Raises `UserError` for a folder that
    cannot be listed.
    """
    real = os.path.realpath(root)
    seen, folders, links = set(), [""], []
    while folders or links:
        here = folders.pop() if folders else links.pop(0)
        place = os.path.join(root, here)
        target = os.path.realpath(place)
        inside = os.path.join(target, "")
        if target in seen or (target != real and os.path.join(real, "").startswith(inside)):
            continue
        seen.add(target)
        try:
            entries = sorted(os.scandir(place), key=lambda entry: entry.name)
        except OSError as error:
            raise UserError(f"{shown(place)} cannot be listed: {error.strerror}.") from error
        for entry in entries:
            if entry.name.startswith(".") or entry.name.lower() in _CLUTTER:
                continue
            name = os.path.join(here, entry.name)
            if entry.is_dir(follow_symlinks=False):
                folders.append(name)
            elif entry.is_symlink() and os.path.isdir(entry.path):
                links.append(name)
            elif os.path.isfile(entry.path) or not os.path.exists(entry.path):
                yield name  # a dangling link is a broken picture; a pipe or a socket is none


def _classes(
    root: str, files: list[str], wanted: bool | None
) -> tuple[list[int] | None, tuple[str, ...]]:
    """The label of each file and the names of the classes, from first-level subfolders."""
    if wanted is False:
        return None, ()
    first = [name.split(os.sep, 1)[0] if os.sep in name else None for name in files]
    if None in first:
        if wanted:
            stray = os.path.join(root, files[first.index(None)])
            raise UserError(
                f"{shown(stray)} lies in no subfolder, so it has no class; move every picture into "
                "the subfolder of its class, or do not ask for labels."
            )
        return None, ()
    names = sorted(set(first))
    if len(names) < 2 and not wanted:
        return None, ()
    index = {name: i for i, name in enumerate(names)}
    return [index[name] for name in first], tuple(map(shown, names))


def _instead(root: str) -> str:
    """What lies in a folder without pictures: "12 .txt, 3 .heic"."""
    endings = Counter(os.path.splitext(name)[1].lower() or "without ending" for name in walk(root))
    listed = [f"{count:,} {shown(ending)}" for ending, count in endings.most_common(5)]
    more = [f"{len(endings) - 5} other kinds"] if len(endings) > 5 else []
    return ", ".join(listed + more) or "no file at all"
