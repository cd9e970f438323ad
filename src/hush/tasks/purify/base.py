"""Purification: what an attacker added to a picture drowns in noise, and the model walks back.

pictures ── codec ── x_0 ── noise to t* ── x_t ── walk to 0 ── x_0 ── codec ── pictures

Any trained run will do; nothing is learnt, of the classifier or of the attack.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from hush.denoisers import Denoiser
from hush.errors import UserError
from hush.guidance import Guidance
from hush.rng import Streams, derive
from hush.system import System

Pictures = Float[Tensor, "count channel height width"]
State = Shaped[Tensor, "count *event"]
Defence = Callable[[Pictures, Streams], Pictures]


class Purifier(ABC):
    """A frozen value that takes out of pictures what the data have not: a use of any trained run,
    which is asked without a condition."""

    @abstractmethod
    def clean(self, system: System, x_0: State, rng: Streams) -> State:
        """x_0 made pure, each sample with draws of its own stream."""

    def __call__(
        self, system: System, pictures: Tensor, seed: int = 0, start: int = 0, batch: int = 256
    ) -> Pictures:
        """The pictures (count, channel, height, width) in [0, 1] made pure, in data units.

        They are the samples `start`, start + 1, … of the seed: each answer is the same in whatever
        `batch` (to rounding). Raises `UserError` for what are not pictures of the model's shape in
        [0, 1], and for a model that wants something given before it draws.
        """
        _must_fit(system, pictures)
        pictures = pictures.to(next(system.denoiser.parameters(), pictures).device)
        rng = Streams.of(derive(seed, "purify"), len(pictures), start, pictures.device)
        defence = self.within(system)
        parts = [slice(first, first + batch) for first in range(0, len(pictures), batch)]
        return torch.cat([defence(pictures[part], rng[part]) for part in parts])

    def within(self, system: System) -> Defence:
        """The purifier of one run, pictures and their streams to pictures, as `hush.evaluation`'s
        attacks want a defence.

        It can be differentiated where the pictures ask for gradients, and keeps none else. The
        data's levels and range are passed over on the way back: rounding has no slope.
        """

        def defence(pictures: Pictures, rng: Streams) -> Pictures:
            with torch.set_grad_enabled(torch.is_grad_enabled() and pictures.requires_grad):
                system.denoiser.eval()
                x_0 = self.clean(system, system.codec.encode(pictures), rng)
                return system.codec.decode(x_0)

        return defence


def asked(system: System, guidance: Guidance | None = None) -> Denoiser:
    """The run's denoiser as it is to be asked."""
    denoiser = guidance(system.denoiser) if guidance else system.denoiser
    return system.threshold(denoiser) if system.threshold else denoiser


def _must_fit(system: System, pictures: Tensor) -> None:
    if getattr(system.task, "asks", False):
        raise UserError(
            f"A {system.name} draws from what it is given and cannot purify: use a run that "
            "generates, such as of ddpm."
        )
    shape = tuple(system.task.shape)
    if pictures.ndim != 4 or tuple(pictures.shape[1:]) != shape or not len(pictures):
        raise UserError(
            f"The model is of pictures {shape}, got {tuple(pictures.shape)}: give (count, "
            "channel, height, width) of its shape."
        )
    low, high = pictures.min().item(), pictures.max().item()
    if not (low >= 0.0 and high <= 1.0):
        raise UserError(f"Pictures are numbers in [0, 1], got {low:.3g} to {high:.3g}.")
