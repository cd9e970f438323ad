"""A space for distances between pictures without classes: the features of a network that learnt
what was done to a picture and how it is turned.

    as it is | blurred | noisy | shuffled | a Gaussian's ─ turned by 0, 90, 180, 270° ─ which of 20?

So the features know how sharp edges are, how smooth what lies between, how parts belong together,
which way is up, and what a mean and a covariance do not say. Principal components of the pixels
(`pixel_space`) know none of it. That a network learns features from such a question is of Gidaris
et al. 2018, "Unsupervised representation learning by predicting image rotations", and Noroozi and
Favaro 2016, "Unsupervised learning of visual representations by solving jigsaw puzzles".
"""

from functools import partial

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from hush.evaluation.baselines import Space, fitted_gaussian
from hush.evaluation.classifier import embed, fit_classifier
from hush.evaluation.filters import padded, radius, smooth
from hush.rng import derive

_TAUGHT = 2000  # pictures that settle the features
_TURNS = 4
_TILES = 4  # along a side of what is shuffled
_BLURS = 0.5, 0.7, 1.0, 1.5  # standard deviations in pixels
_NOISES = 0.01, 0.02, 0.05, 0.1  # standard deviations in [0, 1]
_LEARNING_RATE = 1e-3  # at 3e-3 one network of two died: no feature was ever above 0

Images = Float[Tensor, "_ channel _ _"]


def patch_space(images: Images, seed: int = 0) -> Space:
    """The map to 64 features that suit pictures like `images`, in [0, 1], 4x4 or larger.

    The network is a `Classifier` taught on at most 2000 of them: same seed, same machine, same
    features. Distances in it have no unit, and are read against the floor, the distance of other
    such pictures. Raises `UserError` for smaller pictures.
    """
    generator = torch.Generator().manual_seed(derive(seed, "patches"))
    chosen = torch.randperm(len(images), generator=generator)[:_TAUGHT]
    questions, answers = _questions(images[chosen.to(images.device)], generator, seed)
    classes = int(answers.max()) + 1
    taught = fit_classifier(questions, answers, classes, seed, learning_rate=_LEARNING_RATE)
    return partial(embed, taught)


def _questions(
    images: Images, generator: torch.Generator, seed: int
) -> tuple[Images, Int64[Tensor, " _"]]:
    """Each picture as it is, spoilt in each way and drawn of the Gaussian of all, turned one way;
    and which way that is."""
    images = _squares(images)
    ways = [images, _blurred(images), _noisy(images, generator), _shuffled(images, generator)]
    ways.append(fitted_gaussian(images, len(images), seed=seed))
    # Every fourth picture is turned alike, every quarter of them is spoilt alike: all pairs occur.
    turned = [way[turn::_TURNS].rot90(turn, (2, 3)) for way in ways for turn in range(_TURNS)]
    counts = torch.tensor([len(part) for part in turned])
    return torch.cat(turned), torch.arange(len(turned)).repeat_interleave(counts)


def _squares(images: Images) -> Images:
    """The largest square in the middle whose side is a multiple of the tiles."""
    height, width = images.shape[-2:]
    side = min(height, width) // _TILES * _TILES
    top, left = (height - side) // 2, (width - side) // 2
    return images[..., top : top + side, left : left + side]


def _blurred(images: Images) -> Images:
    parts = zip(images.chunk(len(_BLURS)), _BLURS, strict=False)
    return torch.cat([smooth(padded(part, radius(sigma)), sigma) for part, sigma in parts])


def _noisy(images: Images, generator: torch.Generator) -> Images:
    noise = torch.randn(images.shape, generator=generator).to(images)
    parts = zip(images.chunk(len(_NOISES)), noise.chunk(len(_NOISES)), _NOISES, strict=False)
    return torch.cat([part + scale * unit for part, unit, scale in parts]).clamp(0.0, 1.0)


def _shuffled(images: Images, generator: torch.Generator) -> Images:
    """The tiles of each picture in an order of its own."""
    count, _, side, _ = images.shape
    small = (_TILES, side // _TILES)
    tiles = images.unflatten(3, small).unflatten(2, small).permute(0, 2, 4, 1, 3, 5).flatten(1, 2)
    order = torch.rand(count, _TILES**2, generator=generator).argsort(1).to(images.device)
    mixed = tiles[torch.arange(count).unsqueeze(1), order].unflatten(1, (_TILES, _TILES))
    return mixed.permute(0, 3, 1, 4, 2, 5).reshape(images.shape)
