"""The exponential moving average of a network's weights, which samples are drawn from."""

import copy

import torch
from torch import nn


class EMA:
    """A copy of `module` whose weights trail it: w̄ ← d w̄ + (1 - d) w after every step.

    The decay warms up, d = min(decay, (1 + step)/(10 + step)), so that a short run is not an
    average over its random start.
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.module = copy.deepcopy(module).eval().requires_grad_(False)
        self.decay = decay
        self._source = [p for p in module.parameters() if p.requires_grad]
        trained = {name for name, p in module.named_parameters() if p.requires_grad}
        self._target = [p for name, p in self.module.named_parameters() if name in trained]

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Follow the weights as they are after optimiser step `step` (counted from 0)."""
        decay = min(self.decay, (1.0 + step) / (10.0 + step))
        torch._foreach_lerp_(self._target, self._source, 1.0 - decay)
