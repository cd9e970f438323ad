"""A network that computes in half precision."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Literal

import torch
from torch import Tensor, nn

Precision = Literal["no", "bf16", "fp16"]
TYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


def suits(precision: Precision, device: torch.device) -> bool:
    """Whether a device has arithmetic of that precision: a processor without it imitates it, and
    takes some forty times as long for a convolution as in float32."""
    if device.type != "cpu" or precision == "no":
        return True
    native = {"bf16": "_is_mkldnn_bf16_supported", "fp16": "_is_mkldnn_fp16_supported"}
    return bool(getattr(torch.ops.mkldnn, native[precision])())


@contextmanager
def lowered(network: nn.Module, precision: Precision, device: torch.device) -> Iterator[None]:
    """The network in lower precision, its answer in float32; of one of several parts that are
    called by themselves (`entered`) each. All else, noise and losses above all, stays in float32.
    "no" leaves it as it is."""
    parts = () if precision == "no" else getattr(network, "entered", (network,))
    for part in parts:
        part.forward = _lower(part.forward, TYPES[precision], device)
    try:
        yield
    finally:
        for part in parts:
            del part.forward  # the class's own is seen again


def _lower(
    inner: Callable[..., Tensor], kind: torch.dtype, device: torch.device
) -> Callable[..., Tensor]:
    def forward(*args: Any, **kwargs: Any) -> Tensor:
        with torch.autocast(device.type, kind):
            return inner(*args, **kwargs).float()

    return forward
