"""Segmentation from few labels: every pixel gets a class, by what the network knows of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

from hush.rng import Streams, derive
from hush.system import System
from hush.tasks.features import USUAL, Described, Given, Look, check, describe
from hush.tasks.reader import UNKNOWN, Masks, Reader, Standard, check_masks, made, teach

CHUNK = 16_384  # pixels that vote at once
HIDDEN = (128, 32)

Labels = Int[Tensor, "batch height width"]
Votes = Float[Tensor, "batch class height width"]


class Ensemble(nn.Module):
    """Classifiers of single pixels, `members` of them side by side: perceptrons with two hidden
    layers, each with weights of its own."""

    def __init__(self, features: int, classes: int, members: int = 10) -> None:
        super().__init__()
        self.sizes = {"features": features, "classes": classes, "members": members}
        self.standard = Standard(features)
        widths = (features, *HIDDEN, classes)
        pairs = list(pairwise(widths))
        self.weights = nn.ParameterList(torch.empty(members, *pair) for pair in pairs)
        self.biases = nn.ParameterList(torch.zeros(members, 1, out) for _, out in pairs)
        for weight in self.weights:
            nn.init.normal_(weight, std=(2.0 / weight.shape[1]) ** 0.5)

    def forward(
        self, x: Float[Tensor, "member pixel feature"]
    ) -> Float[Tensor, "member pixel class"]:
        """The logits each member gives its own pixels, whose features are standard already."""
        last = len(self.weights) - 1
        for number, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            x = torch.baddbmm(bias, x, weight)
            x = x if number == last else functional.relu(x)
        return x

    def votes(self, described: Described) -> Votes:
        """The share of the members that choose each class, for each pixel."""
        members, classes = self.sizes["members"], self.sizes["classes"]
        flat = self.standard(described).movedim(1, -1).flatten(0, 2)
        chosen = [self(part.expand(members, -1, -1)).argmax(-1) for part in flat.split(CHUNK)]
        share = functional.one_hot(torch.cat(chosen, 1), classes).float().mean(0)
        return share.unflatten(0, (len(described), *described.shape[2:])).movedim(-1, 1)


@dataclass(frozen=True)
class Segmenter(Reader):
    """`segmenter(pictures)` gives a class to every pixel, and the share of votes it got: how sure
    that is."""

    kind = "segmenter"

    @staticmethod
    def blank(system: System, sizes: dict[str, int]) -> nn.Module:
        return Ensemble(**sizes)

    @torch.no_grad()
    def __call__(
        self, pictures: Given, batch: int = 16
    ) -> tuple[Labels, Float[Tensor, "batch height width"]]:
        """(labels, share), both (batch, height, width); of classes with equal votes the first."""
        parts = [
            self.head.votes(describe(self.system, part, self.look)).max(1)
            for part in pictures.split(batch)
        ]
        return torch.cat([p.indices for p in parts]), torch.cat([p.values for p in parts])


def fit_segmenter(
    system: System,
    pictures: Given,
    masks: Given,
    classes: Sequence[str],
    look: Look = USUAL,
    members: int = 10,
    steps: int = 1000,
    seed: int = 0,
) -> Segmenter:
    """A segmenter of pictures like these few. `masks` name the class of every pixel by its place
    in `classes`; those that are -1 are not learnt from.

    Baranchuk, Rubachev, Voynov, Khrulkov, Babenko 2022, "Label-efficient semantic segmentation with
    diffusion models", section 4: an ensemble of 10 perceptrons over the features of each pixel.

    Raises:
        UserError: pictures, masks and classes do not fit each other or the system.
    """
    check(system, pictures, "pictures")
    check_masks("masks", masks, pictures, len(classes))
    look = look.into(system)
    described = describe(system, pictures, look)
    head = fit_ensemble(described, masks, len(classes), members, steps, seed)
    return Segmenter(system, head, tuple(classes), look)


def fit_ensemble(
    described: Described,
    masks: Masks,
    classes: int,
    members: int = 10,
    steps: int = 1000,
    seed: int = 0,
    batch: int = 256,
    learning_rate: float = 1e-3,
) -> Ensemble:
    """The ensemble that reads these features, each member taught with pixels drawn for it alone."""
    head = made(lambda: Ensemble(described.shape[1], classes, members), seed).to(described.device)
    head.standard.fit(described)
    truth = masks.to(described.device).long()
    labels = truth[truth != UNKNOWN]
    pixels = head.standard(described).movedim(1, -1)[truth != UNKNOWN]

    def loss(rng: Streams) -> Tensor:
        chosen = (rng.uniform((batch,)) * len(labels)).long()
        logits = head(pixels[chosen])
        return functional.cross_entropy(logits.flatten(0, 1), labels[chosen].flatten())

    rng = Streams.of(derive(seed, "pixels"), members, device=described.device)
    return teach(head, loss, rng, steps, learning_rate)
