"""A network that computes in half precision."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

import torch
from torch import Tensor, nn

Precision = Literal["no", "bf16", "fp16"]
TYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


@contextmanager
def lowered(network: nn.Module, precision: Precision, device: torch.device) -> Iterator[None]:
    """The network in lower precision, its answer in float32. All else, noise and losses above all,
    stays in float32. "no" leaves it as it is."""
    if precision == "no":
        yield
        return
    inner = network.forward

    def forward(*args: Any, **kwargs: Any) -> Tensor:
        with torch.autocast(device.type, TYPES[precision]):
            return inner(*args, **kwargs).float()

    network.forward = forward
    try:
        yield
    finally:
        del network.forward  # the class's own is seen again
