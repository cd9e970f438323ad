"""Small sets of real pictures, out of what scikit-image, scikit-learn and matplotlib ship.

    python benchmarks/small.py [FOLDER]

Each function gives (train, test): float32 (count, channel, height, width) in [0, 1], the same at
every call. They are parted by picture, and where there is but one picture, by regions of it that
lie a patch's side apart: no patch to test on shares a pixel with one to learn from. Patches of one
picture overlap each other, so they say less than as many pictures would. The side may be up to 60
pixels. From the command line it writes the first 40 of each set, those to learn from above those to
test on, into FOLDER.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from hush.data import grid, save

TRAIN, TEST = 4000, 400  # patches
PHOTOGRAPHS = ("astronaut", "coffee", "rocket", "motorcycle", "flower", "hopper"), ("cat", "china")
TEXTURES = ("brick", "grass", "gravel")
FACES = 80  # of the 100, to learn from
SHOWN = 40

Split = tuple[Tensor, Tensor]


def patches(side: int = 32, colour: bool = True) -> Split:
    """4,000 patches of six photographs to learn from, 400 of two others (a cat, a Chinese palace)
    to test on, from each photograph in turn. Those to test on are brighter: 0.50 in the mean to
    0.35.

    The photographs are halved first (means of 2 by 2 pixels), so that a patch shows something.
    """
    train, test = ([_halved(_photograph(name)) for name in names] for names in PHOTOGRAPHS)
    if not colour:
        train, test = (
            [picture.mean(2, keepdims=True) for picture in part] for part in (train, test)
        )
    return _cut(train, side, TRAIN, 0), _cut(test, side, TEST, 1)


def textures(side: int = 32, names: Sequence[str] = TEXTURES) -> Split:
    """4,000 grey patches of the upper parts of brick, grass and gravel (512 by 512 each) to learn
    from, 400 of the lower parts to test on; in turn, so that patch i is of texture i mod 3."""
    from skimage import data

    return _parted([getattr(data, name)()[..., None] / 255 for name in names], side)


def faces() -> Split:
    """80 grey faces of 25 by 25 to learn from, 20 others to test on, out of a subset of Labeled
    Faces in the Wild: photographs each of its own, so they are few. Nobody says whether a person is
    there twice."""
    from skimage.data import lfw_subset

    pictures = torch.from_numpy(lfw_subset()[:100]).float().unsqueeze(1)  # the other 100 are none
    return pictures[:FACES], pictures[FACES:]


def mri(side: int = 32) -> Split:
    """4,000 grey patches of the front of one head in a sagittal slice (256 by 256) to learn from,
    400 of its back to test on. White is the brightest of the slice; patches that are mostly air are
    left out. One head says nothing of others: this is a texture of anatomy and no more."""
    from matplotlib.cbook import get_sample_data

    with get_sample_data("s1045.ima.gz") as file:
        slice_ = np.frombuffer(file.read(), np.uint16).reshape(256, 256)
    head = slice_[20:, 20:210] / slice_.max()
    return _parted([head.T[..., None]], side, lowest=0.1, turned=True)


def elevation(side: int = 32) -> Split:
    """4,000 patches of the north of a map of heights (344 by 403, about 90 m a pixel, near the
    Jacksboro fault) to learn from, 400 of its south to test on. 0 is 200 m above the sea, 1 is
    1,100 m."""
    from matplotlib.cbook import get_sample_data

    with get_sample_data("jacksboro_fault_dem.npz") as file:
        heights = file["elevation"]
    return _parted([(heights[..., None] - 200) / 900], side)


def _parted(
    pictures: list[np.ndarray], side: int, lowest: float = 0.0, turned: bool = False
) -> Split:
    """Patches of the upper parts and of the lower ones, `side` rows apart, these a third of all;
    `turned` if what is cut had its axes swapped, so that left and right were up and down."""
    begins = [len(picture) - max(len(picture) // 3, side + 8) for picture in pictures]
    upper = [picture[: at - side] for picture, at in zip(pictures, begins, strict=True)]
    lower = [picture[at:] for picture, at in zip(pictures, begins, strict=True)]
    train = _cut(upper, side, TRAIN, 0, lowest)
    test = _cut(lower, side, TEST, 1, lowest)
    return (train.mT.contiguous(), test.mT.contiguous()) if turned else (train, test)


def _cut(
    pictures: list[np.ndarray], side: int, count: int, seed: int, lowest: float = 0.0
) -> Tensor:
    """Patches at random places, from each picture in turn, their mean at least `lowest`."""
    random, found = np.random.default_rng(seed), []
    while len(found) < count:
        picture = pictures[len(found) % len(pictures)]
        top, left = (int(random.integers(0, length - side + 1)) for length in picture.shape[:2])
        patch = picture[top : top + side, left : left + side]
        if patch.mean() >= lowest:
            found.append(patch.transpose(2, 0, 1))
    return torch.from_numpy(np.stack(found).astype(np.float32)).contiguous()


def _photograph(name: str) -> np.ndarray:
    """(height, width, 3) in [0, 1]."""
    from matplotlib import image
    from matplotlib.cbook import get_sample_data
    from skimage import data
    from sklearn.datasets import load_sample_image

    if name in ("china", "flower"):
        pixels = load_sample_image(f"{name}.jpg")
    elif name == "motorcycle":
        pixels = data.stereo_motorcycle()[0]
    elif name == "hopper":
        pixels = image.imread(get_sample_data("grace_hopper.jpg"), format="jpg")
    else:
        pixels = getattr(data, name)()
    return pixels / 255


def _halved(picture: np.ndarray) -> np.ndarray:
    height, width = (length // 2 for length in picture.shape[:2])
    whole = picture[: 2 * height, : 2 * width]
    return whole.reshape(height, 2, width, 2, -1).mean((1, 3))


def main() -> None:
    """Draw them all."""
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "runs/small")
    grey = ("patches-grey", lambda: patches(colour=False))
    made = [(make.__name__, make) for make in (patches, textures, faces, mri, elevation)]
    for name, make in (*made, grey):
        train, test = make()
        print(f"{name}: {tuple(train.shape)} to learn from, {tuple(test.shape)} to test on")
        rows = (grid(part[:SHOWN], SHOWN // 4) for part in (train, test))
        save(torch.cat(tuple(rows), -2), folder / f"{name}.png", overwrite=True)


if __name__ == "__main__":
    main()
