"""Dropout whose masks belong to the samples, as every other random draw of hush does."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from hush.rng import derive

Activation = Float[Tensor, "batch *event"]


class Place(NamedTuple):
    """Where the masks of one module come from: its own seed, the position of the first sample."""

    seed: int
    start: int


class Dropout(nn.Dropout):
    """Each element is 0 with probability p, else divided by 1 - p; in evaluation the identity.

    Within `positioned` the mask of a sample is a pure function of (seed, position, module), in
    whatever batch, part of a batch or process it is computed (on one kind of device, in one memory
    layout). Each forward starts anew: a second one with the same samples has the same masks, as is
    right where activations are computed again or one loss asks twice. So a network has a module
    for every place where it drops. Outside `positioned` it is torch's own dropout.

    Srivastava et al. 2014, "Dropout: a simple way to prevent neural networks from overfitting".
    """

    place: Place | None = None

    def forward(self, x: Activation) -> Activation:
        if self.place is None or not self.training or self.p in (0.0, 1.0):
            return super().forward(x)
        keep = 1.0 - self.p
        scale, generator = torch.empty_like(x), torch.Generator(x.device)
        for position, row in enumerate(scale, self.place.start):
            # Of a seed torch's generator on a processor reads 32 bits: they must be well mixed.
            generator.manual_seed(derive(self.place.seed, f"{position}"))
            row.bernoulli_(keep, generator=generator)
        return x * scale.div_(keep)


@contextmanager
def positioned(network: nn.Module, seed: int, start: int) -> Iterator[None]:
    """Within it the samples of every forward of `network` stand at the positions start, start + 1,
    …, for all its `Dropout` modules, numbered in their order. Backward belongs inside, too, where
    activations are computed again."""
    modules = [module for module in network.modules() if isinstance(module, Dropout)]
    for number, module in enumerate(modules):
        module.place = Place(derive(seed, f"dropout/{number}"), start)
    try:
        yield
    finally:
        for module in modules:
            module.place = None
