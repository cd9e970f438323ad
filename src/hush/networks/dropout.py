"""Dropout whose masks belong to the samples, as every other random draw of hush does."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from jaxtyping import Float
from torch import Tensor, nn

from hush.rng import derive

Activation = Float[Tensor, "batch *event"]


def scales(x: Tensor, place: Tensor, keep: float) -> Tensor:
    """1/keep with the probability `keep`, else 0, in the likeness of x (batch, *event), whose first
    sample stands at position `place[1]` of the seed `place[0]`."""
    seed, start = place.tolist()
    scale, generator = torch.empty_like(x), torch.Generator(x.device)
    for position, row in enumerate(scale, start):
        # Of a seed torch's generator on a processor reads 32 bits: they must be well mixed.
        generator.manual_seed(derive(seed, f"{position}"))
        row.bernoulli_(keep, generator=generator)
    return scale.div_(keep)


# To a compiler it is one operation of tensors: for a place that it saw as numbers it would compile
# anew at every step. Elsewhere the function is called as it is, for torch's way to it is longer.
_scales = torch.library.custom_op("hush::scales", scales, mutates_args=())
_scales.register_fake(lambda x, place, keep: torch.empty_like(x))


class Dropout(nn.Dropout):
    """Each element is 0 with probability p, else divided by 1 - p; in evaluation the identity.

    Within `positioned` the mask of a sample is a pure function of (seed, position, module), in
    whatever batch, part of a batch or process it is computed (on one kind of device, in one memory
    layout). Each forward starts anew: a second one with the same samples has the same masks, as is
    right where activations are computed again or one loss asks twice. So a network has a module
    for every place where it drops. Outside `positioned` it is torch's own dropout.

    Srivastava et al. 2014, "Dropout: a simple way to prevent neural networks from overfitting".
    """

    place: Tensor | None = None
    """Its own seed, and the position of the first sample."""

    def forward(self, x: Activation) -> Activation:
        if self.place is None or not self.training or self.p in (0.0, 1.0):
            return super().forward(x)
        drawn = _scales if torch.compiler.is_compiling() else scales
        return x * drawn(x.detach(), self.place, 1.0 - self.p)


@contextmanager
def positioned(network: nn.Module, seed: int, start: int) -> Iterator[None]:
    """Within it the samples of every forward of `network` stand at the positions start, start + 1,
    …, for all its `Dropout` modules, numbered in their order. Backward belongs inside, too, where
    activations are computed again."""
    modules = [module for module in network.modules() if isinstance(module, Dropout)]
    for number, module in enumerate(modules):
        own = derive(seed, f"dropout/{number}")
        module.place = torch.tensor((own, start), dtype=torch.uint64)
    try:
        yield
    finally:
        for module in modules:
            module.place = None
