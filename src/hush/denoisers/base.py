"""What a denoiser is: a belief about the data behind a noised state."""

from abc import ABC, abstractmethod
from typing import Any

from torch import Tensor, nn

from hush.processes import Moment, Process
from hush.rng import Streams
from hush.tensors import Condition


class Denoiser(nn.Module, ABC):
    """x_t at time t, with a condition, to the belief p(x_0 | x_t): the one thing samplers,
    objectives, guidance and bounds ask of a network."""

    process: Process

    def begun(self, rng: Streams) -> "Denoiser":
        """The denoiser for one walk of these samples; one that draws, draws from `rng`."""
        return self

    def among(self, samples: list[int]) -> "Denoiser":
        """The denoiser of some of the samples of the walk, by number, each as often as it is asked
        about at once: one that draws, draws for each what it would have drawn for the sample."""
        return self

    @abstractmethod
    def forward(self, x_t: Tensor, t: Moment, cond: Condition | None = None) -> Any:
        """The posterior over x_0; t is a float, a `Level` or one time per sample (batch,)."""
