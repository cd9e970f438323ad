"""What a codec is: data in their own units to x_0 and back."""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import ClassVar

from jaxtyping import Bool, Float, Shaped
from torch import Tensor, nn

from hush.tensors import Condition

Batch = Float[Tensor, " batch *event"]
State = Shaped[Tensor, " batch *event"]


class Codec(nn.Module, ABC):
    """A map between data and the x_0 a process works on, numbers or tokens. Where it is
    `invertible`, decode gives back what was encoded, and a density of x_0 is one of the data."""

    invertible: ClassVar[bool] = True

    @abstractmethod
    def fit(self, batches: Iterable[Tensor], levels: int | None = None) -> "Codec":
        """Measure what is needed on batches of data; `levels` is the number of evenly spaced values
        between 0 and 1 that the data can take, None when they are continuous."""

    @abstractmethod
    def encode(self, data: Batch, cond: Condition | None = None) -> State:
        """Data to x_0, which may be what the data are beyond their condition."""

    @abstractmethod
    def decode(self, x_0: State, cond: Condition | None = None) -> Batch:
        """x_0 to data, held to the range that was measured and to the data's own levels; a gradient
        passes over both on its way back."""

    @abstractmethod
    def log_det(self, event: tuple[int, ...]) -> float:
        """log |d x_0 / d data| of a whole event: what turns a density of x_0 into one of data."""

    def event(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The shape of the x_0 of one event of data of `shape`."""
        return shape

    def places(self, known: Bool[Tensor, "batch 1 *space"]) -> Bool[Tensor, "batch 1 *place"]:
        """Where x_0 is known of data that are known where `known` is true."""
        return known
