"""Change detection: what differs between two pictures of one scene, and not only in its light."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from hush.errors import UserError
from hush.networks.blocks import group_norm
from hush.rng import Streams, derive
from hush.system import System
from hush.tasks.features import USUAL, Described, Given, Look, Pictures, check, describe
from hush.tasks.reader import UNKNOWN, Masks, Reader, Standard, check_masks, labelled, made, teach

CLASSES = ("same", "changed")
WIDTH = 64  # channels of the head

Chance = Float[Tensor, "batch height width"]


class Squeeze(nn.Module):
    """Attention to channels and to places: x·s(W_2 r(W_1 mean x)) + x·s(w x), with the sigmoid s
    and r = ReLU.

    Roy, Navab, Wachinger 2018, "Concurrent spatial and channel squeeze and excitation in fully
    convolutional networks".
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first, self.second = (
            nn.Linear(channels, channels // 2),
            nn.Linear(channels // 2, channels),
        )
        self.place = nn.Conv2d(channels, 1, 1)

    def forward(self, x: Pictures) -> Pictures:
        channel = self.second(functional.relu(self.first(x.mean((2, 3))))).sigmoid()
        return x * channel[..., None, None] + x * self.place(x).sigmoid()


class Head(nn.Module):
    """|f_A - f_B| to the logits of "same" and "changed", by attention and two convolutions."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.sizes = {"features": features}
        self.standard = Standard(features)
        self.layers = nn.Sequential(
            nn.Conv2d(features, WIDTH, 1),
            group_norm(WIDTH),
            nn.ReLU(),
            Squeeze(WIDTH),
            nn.Conv2d(WIDTH, WIDTH, 3, padding=1),
            group_norm(WIDTH),
            nn.ReLU(),
            nn.Conv2d(WIDTH, len(CLASSES), 3, padding=1),
        )

    def forward(self, apart: Described) -> Float[Tensor, "batch 2 height width"]:
        return self.layers(self.standard(apart))


@dataclass(frozen=True)
class ChangeDetector(Reader):
    """`detector(before, after)` is the chance of every pixel that it shows something else now. It
    is the same for (after, before)."""

    kind = "change_detector"

    @staticmethod
    def blank(system: System, sizes: dict[str, int]) -> nn.Module:
        return Head(**sizes)

    @torch.no_grad()
    def __call__(self, before: Given, after: Given, batch: int = 16) -> Chance:
        """The chances, (batch, height, width), in [0, 1]."""
        _check_pairs(self.system, before, after)
        pairs = zip(before.split(batch), after.split(batch), strict=True)
        return torch.cat([chances(self.head, apart(self.system, *p, self.look)) for p in pairs])


def apart(system: System, before: Given, after: Given, look: Look) -> Described:
    """|f_A - f_B|: how far the features of the two dates lie apart."""
    return (describe(system, before, look) - describe(system, after, look)).abs_()


def chances(head: Head, difference: Described) -> Chance:
    """What a head says of such differences."""
    return head(difference).softmax(1)[:, 1]


def fit_change(
    system: System,
    before: Given,
    after: Given,
    changed: Given,
    look: Look = USUAL,
    steps: int = 500,
    seed: int = 0,
) -> ChangeDetector:
    """A detector of changes like these. `changed` is 1, or true, where a pair shows different
    things, 0 where the same, and -1 where nobody knows.

    Bandara, Nair, Patel 2022, "DDPM-CD: Denoising diffusion probabilistic models as feature
    extractors for change detection", arXiv:2206.11892; here one head reads all scales at once.

    Raises:
        UserError: the pictures do not fit each other, their masks or the system.
    """
    _check_pairs(system, before, after)
    check_masks("changed", changed, before, len(CLASSES))
    look = look.into(system)
    head = fit_head(apart(system, before, after, look), changed, steps, seed)
    return ChangeDetector(system, head, CLASSES, look)


def fit_head(
    difference: Described,
    changed: Masks,
    steps: int = 500,
    seed: int = 0,
    batch: int = 8,
    learning_rate: float = 2e-3,
) -> Head:
    """The head that tells change by these differences, by its cross-entropy."""
    head = made(lambda: Head(difference.shape[1]), seed).to(difference.device)
    head.standard.fit(difference)
    difference, truth = labelled(difference, changed)

    def loss(rng: Streams) -> Tensor:
        chosen = (rng.uniform((batch,))[0] * len(truth)).long()
        return functional.cross_entropy(
            head(difference[chosen]), truth[chosen], ignore_index=UNKNOWN
        )

    rng = Streams.of(derive(seed, "pairs"), 1, device=difference.device)
    return teach(head, loss, rng, steps, learning_rate)


def _check_pairs(system: System, before: Given, after: Given) -> None:
    check(system, before, "before")
    check(system, after, "after")
    if before.shape != after.shape:
        raise UserError(
            f"before and after have shapes {tuple(before.shape)} and {tuple(after.shape)}; "
            "expected the same scenes, one for one, in the same size."
        )
