"""Pictures whose truth is known: shapes drawn on photographed textures, and what changed on them.

Backgrounds are pieces of the brick, grass and gravel that scikit-image ships, those of the part
"train" from the left halves of the photographs and those of "test" from the right ones. A shape
has a shade and a texture that say nothing of what it is: only its outline does.
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

SIDE = 32
SHAPES = ("disc", "square", "triangle", "cross", "ring")
CLASSES = ("background", *SHAPES)
Part = Literal["train", "test"]
Image = np.ndarray


class Scenes(NamedTuple):
    """Pictures (count, 1, 32, 32) in [0, 1], and the class of every pixel (count, 32, 32)."""

    pictures: Tensor
    masks: Tensor


class Pairs(NamedTuple):
    """The same scenes at two dates, and where something was added or taken away."""

    before: Tensor
    after: Tensor
    changed: Tensor


class Thing(NamedTuple):
    """One shape: which, where, how large, how turned, and how it looks."""

    shape: int
    centre: tuple[float, float]
    radius: float
    angle: float
    shade: float
    texture: Image


def scenes(count: int, seed: int, part: Part, alike: bool = False) -> Scenes:
    """Scenes of one or two shapes; `alike` makes all shapes of a picture the same, the next one's
    the next shape."""
    random = np.random.default_rng([seed, part == "test"])
    photographs = _photographs(part)
    drawn = []
    for number in range(count):
        ground = _background(random, photographs)
        shape = number % len(SHAPES) if alike else None
        things = _things(random, ground, photographs, shape)
        picture, owner = _drawn(ground, things)
        drawn.append((picture, np.array([0, *(1 + thing.shape for thing in things)])[owner]))
    pictures, masks = (np.stack(each) for each in zip(*drawn, strict=True))
    return Scenes(torch.from_numpy(pictures).float().unsqueeze(1), torch.from_numpy(masks))


def pairs(count: int, seed: int, part: Part) -> Pairs:
    """Scenes seen twice: the second time in another light, noisy, shifted by at most a pixel each
    way, and in two of three cases with a shape more or a shape less."""
    random = np.random.default_rng([seed, part == "test", 2])
    photographs = _photographs(part)
    rows = []
    for _ in range(count):
        ground = _background(random, photographs)
        things: list[Thing | None] = [*_things(random, ground, photographs), None]
        later = list(things)
        what = random.integers(3)
        if what == 1:
            later[random.integers(len(things) - 1)] = None
        elif what == 2:
            later[-1] = _things(random, ground, photographs)[0]
        (before, old), (after, new) = _drawn(ground, things), _drawn(ground, later)
        moved = tuple(random.integers(-1, 2, 2))
        seen = _relit(random, np.roll(after, moved, (0, 1)))
        rows.append((before, seen, old != new))
    before, after, changed = (torch.from_numpy(np.stack(each)) for each in zip(*rows, strict=True))
    return Pairs(before.float().unsqueeze(1), after.float().unsqueeze(1), changed.long())


def _photographs(part: Part) -> list[Image]:
    """Half the size, so that a piece shows more than one brick; the left or the right half."""
    from skimage import data

    found = []
    for name in ("brick", "grass", "gravel"):
        pixels = getattr(data, name)().astype(np.float64) / 255.0
        small = pixels.reshape(256, 2, 256, 2).mean((1, 3))
        found.append(small[:, :128] if part == "train" else small[:, 128:])
    return found


def _piece(random: np.random.Generator, photographs: list[Image]) -> Image:
    """A piece of a photograph, less its mean."""
    pixels = photographs[random.integers(len(photographs))]
    top, left = (random.integers(side - SIDE + 1) for side in pixels.shape)
    piece = pixels[top : top + SIDE, left : left + SIDE]
    return piece[:: random.choice((1, -1)), :: random.choice((1, -1))] - piece.mean()


def _background(random: np.random.Generator, photographs: list[Image]) -> Image:
    contrast, shade = random.uniform(0.5, 1.0), random.uniform(0.3, 0.7)
    return shade + contrast * _piece(random, photographs)


def _things(
    random: np.random.Generator,
    ground: Image,
    photographs: list[Image],
    shape: int | None = None,
) -> list[Thing]:
    """One or two shapes, lighter or darker than the ground by .2 at least; the second one beside
    the first."""
    found: list[Thing] = []
    for _ in range(random.integers(1, 3)):
        centre = random.uniform(6.0, SIDE - 7.0, 2)
        while found and np.hypot(*(centre - found[0].centre)) < 12.0:
            centre = random.uniform(6.0, SIDE - 7.0, 2)
        shade = ground.mean() + random.choice((-1.0, 1.0)) * random.uniform(0.2, 0.35)
        found.append(
            Thing(
                int(random.integers(len(SHAPES))) if shape is None else shape,
                tuple(centre),
                random.uniform(5.5, 8.5),
                random.uniform(0.0, 2.0 * np.pi),
                shade,
                random.uniform(0.1, 0.4) * _piece(random, photographs),
            )
        )
    return found


def _drawn(ground: Image, things: Sequence[Thing | None]) -> tuple[Image, Image]:
    """The picture, and the number of the thing at each pixel, from 1; 0 is the ground. A later
    thing covers an earlier one."""
    picture, owner = ground.copy(), np.zeros((SIDE, SIDE), np.int64)
    for number, thing in enumerate(things, 1):
        if thing is None:
            continue
        depth = _depth(thing)
        cover = np.clip(0.5 + depth, 0.0, 1.0)
        picture = picture + cover * (thing.shade + thing.texture - picture)
        owner[depth > 0.0] = number
    return np.clip(picture, 0.0, 1.0), owner


def _depth(thing: Thing) -> Image:
    """How deep inside the shape each pixel lies, in pixels; negative outside."""
    grid = np.stack(np.meshgrid(np.arange(SIDE), np.arange(SIDE), indexing="ij")) + 0.0
    down, across = grid - np.reshape(thing.centre, (2, 1, 1))
    turn, size = thing.angle, thing.radius
    x, y = np.cos(turn) * across + np.sin(turn) * down, np.cos(turn) * down - np.sin(turn) * across
    far, sides = np.hypot(x, y), np.maximum(abs(x), abs(y))
    kind = SHAPES[thing.shape]
    if kind == "disc":
        return size - far
    if kind == "ring":
        return np.minimum(size - far, far - 0.55 * size)
    if kind == "square":
        return 0.85 * size - sides
    if kind == "cross":
        arm = np.minimum(abs(x), abs(y))
        return np.minimum(size - sides, 0.33 * size - arm)
    edges = [x * np.cos(a) + y * np.sin(a) for a in (np.pi / 2, np.pi * 7 / 6, np.pi * 11 / 6)]
    return 0.55 * size - np.maximum.reduce(edges)


def _relit(random: np.random.Generator, picture: Image) -> Image:
    """Another light: brighter or darker, more so on one side; and the noise of a camera."""
    grid = np.stack(np.meshgrid(*(np.linspace(-1.0, 1.0, SIDE),) * 2, indexing="ij"))
    slope = random.uniform(-0.1, 0.1, 2)
    light = random.uniform(0.75, 1.25) + slope[0] * grid[0] + slope[1] * grid[1]
    shade = random.uniform(-0.08, 0.08)
    noise = random.normal(0.0, 0.03, picture.shape)
    return np.clip(0.5 + light * (picture - 0.5) + shade + noise, 0.0, 1.0)
