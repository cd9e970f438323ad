"""Levels as tokens."""

from collections.abc import Iterable

import torch
from jaxtyping import Int64
from torch import Tensor

from hush.codecs.base import Batch, Codec
from hush.errors import UserError
from hush.tensors import Condition


class Levels(Codec):
    """Data of `count` evenly spaced values between 0 and 1 to tokens 0 … count - 1. Halfway through
    a walk tokens may be masked: that is shown as grey."""

    def __init__(self, count: int = 256) -> None:
        super().__init__()
        if count < 2:
            raise UserError(f"Tokens need at least 2 levels, got {count}.")
        self.register_buffer("levels", torch.tensor(count))

    def fit(self, batches: Iterable[Tensor], levels: int | None = None) -> "Codec":
        """Nothing to measure. Raises `UserError` for data of another number of levels, or none."""
        if levels != int(self.levels):
            found = "continuous values" if levels is None else f"{levels} levels"
            raise UserError(
                f"The model is over {int(self.levels)} levels, the data have {found}: make it with "
                "the data's own number of levels, or use a system of continuous values."
            )
        return self

    def encode(self, data: Batch, cond: Condition | None = None) -> Int64[Tensor, " batch *event"]:
        return (data.double() * (self.levels - 1)).round().long()

    def decode(self, x_0: Int64[Tensor, " batch *event"], cond: Condition | None = None) -> Batch:
        return torch.where(x_0 < self.levels, x_0.double() / (self.levels - 1), 0.5).float()

    def log_det(self, event: tuple[int, ...]) -> float:
        return 0.0  # a probability of tokens is one of the data
