"""The exponential moving average of a network's weights, which samples are drawn from."""

import torch
from torch import nn

from hush.training.stored import cut


class EMA:
    """`module`, whose weights trail those of `source`: w̄ ← d w̄ + (1 - d) w after every step.

    The decay warms up, d = min(decay, (1 + step)/(10 + step)), so that a short run is not an
    average over its random start.
    """

    def __init__(self, module: nn.Module, source: nn.Module, decay: float) -> None:
        self.module = module.eval().requires_grad_(False)
        self.decay = decay
        own = dict(self.module.named_parameters())
        pairs = [(own[name], p) for name, p in source.named_parameters() if p.requires_grad]
        groups = ([pair for pair in pairs if cut(pair[1]) is kind] for kind in (True, False))
        self._groups = [tuple(zip(*group, strict=True)) for group in groups if group]

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Follow the weights as they are after optimiser step `step` (counted from 0)."""
        decay = min(self.decay, (1.0 + step) / (10.0 + step))
        for target, source in self._groups:
            torch._foreach_lerp_(target, source, 1.0 - decay)
