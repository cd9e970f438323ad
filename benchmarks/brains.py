"""Heads as an MRI shows them, drawn, and with an anomaly where one is asked for.

Ellipses of scalp, skull, brain and ventricles, of any place, size and turn; the brain has the mean,
the spread and the power spectrum of the folds in matplotlib's scan s1045.
"""

from functools import cache
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

SIDE, FINER = 32, 6  # pixels of a head; of s1045 to one of them
DARKER = 0.2, 0.35  # how much darker than the brain an anomaly is


class Heads(NamedTuple):
    """Pictures (count, 1, 32, 32) in [0, 1], where the head is, and where the anomaly is."""

    pictures: Tensor
    head: Tensor
    truth: Tensor


@cache
def folds() -> tuple[float, float, np.ndarray]:
    """Of s1045's brain, at the size of a head: mean, standard deviation, and the gain of each wave
    of a picture that gives white noise the power spectrum of its folds."""
    from matplotlib.cbook import get_sample_data

    with get_sample_data("s1045.ima.gz") as file:
        scan = np.frombuffer(file.read(), np.uint16).reshape(256, 256).astype(float)
    scan = np.clip(scan / np.percentile(scan, 99.5), 0.0, 1.0)
    part = scan[48:120, 72:168]  # brain and nothing else
    small = part.reshape(72 // FINER, FINER, 96 // FINER, FINER).mean((1, 3))
    window = np.hanning(72)[:, None] * np.hanning(96)
    power = abs(np.fft.fft2((part - part.mean()) * window)) ** 2
    wave = np.hypot(np.fft.fftfreq(72)[:, None], np.fft.fftfreq(96))
    edges = np.geomspace(1 / 48, 1 / 6, 9)
    rings = [power[(wave >= low) & (wave < high)].mean() for low, high in pairwise(edges)]
    own = np.hypot(np.fft.fftfreq(SIDE)[:, None], np.fft.rfftfreq(SIDE)) / FINER
    centres = np.log(np.sqrt(edges[1:] * edges[:-1]))
    gain = np.exp(0.5 * np.interp(np.log(own + 1e-9), centres, np.log(rings)))
    gain[0, 0] = 0.0
    return part.mean(), small.std(), gain


def heads(count: int, seed: int, radius: float = 0.0) -> Heads:
    """Heads number 0 … count - 1 of a seed, with a dark disc where there is a radius. The heads are
    the same for all radii, but for those."""
    drawn = [drawn_head(np.random.default_rng([seed, number]), radius) for number in range(count)]
    pictures, head, truth = (torch.from_numpy(np.stack(each)) for each in zip(*drawn, strict=True))
    return Heads(pictures.float().unsqueeze(1), head.unsqueeze(1), truth.unsqueeze(1))


def drawn_head(random: np.random.Generator, radius: float) -> tuple[np.ndarray, ...]:
    """One head; each part covers its pixels by how deep they lie within it."""
    mean, spread, gain = folds()
    y, x = np.mgrid[:SIDE, :SIDE] - (SIDE - 1) / 2 - random.uniform(-1.5, 1.5, (2, 1, 1))
    turn = random.uniform(-0.5, 0.5)
    along, across = np.cos(turn) * y + np.sin(turn) * x, np.cos(turn) * x - np.sin(turn) * y
    long, short = random.uniform(11.5, 14.0), random.uniform(9.5, 12.0)
    depth = short * (1.0 - np.hypot(along / long, across / short))
    texture = np.fft.irfft2(np.fft.rfft2(random.normal(size=(SIDE, SIDE))) * gain)
    inside = mean + random.normal(0.0, 0.03) + spread * texture / texture.std()
    size, apart = random.uniform(2.5, 4.5), random.uniform(1.6, 2.4)
    pools = [
        1.3 * (1.0 - np.hypot(along / size, (across - side * apart) / 1.3)) for side in (-1, 1)
    ]
    picture = np.zeros((SIDE, SIDE))
    for deep, shade in (
        (depth, random.uniform(0.3, 0.4)),
        (depth - 1.2, 0.08),
        (depth - 2.4, inside),
        *((pool, 0.2) for pool in pools),
    ):
        picture += np.clip(0.5 + deep, 0.0, 1.0) * (shade - picture)
    head = depth > 0.0
    angle, far, darker = random.uniform(0.0, 2.0 * np.pi), random.uniform(), random.uniform(*DARKER)
    reach = np.sqrt(far) * max(short - 2.4 - radius, 1.0)
    blob = radius - np.hypot(along - reach * np.sin(angle), across - reach * np.cos(angle))
    cover = np.clip(0.5 + blob, 0.0, 1.0) * (radius > 0.0) * np.clip(0.5 + depth - 2.4, 0.0, 1.0)
    return np.clip(picture - darker * cover, 0.0, 1.0), head, cover >= 0.5
