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
    gaps: ClassVar[bool] = False
    """Whether NaN is a value that is missing, 0 in x_0."""
    bounded: ClassVar[bool] = True
    """Whether what is decoded is held to the range of the data that were measured."""

    @abstractmethod
    def fit(self, batches: Iterable[Tensor], levels: int | None = None) -> "Codec":
        """Measure what is needed on batches of data; `levels` is the number of evenly spaced values
        between 0 and 1 that the data can take, None when they are continuous."""

    def fit_told(self, conds: Iterable[Condition | None]) -> None:
        """Measure what is told beside the data, where it is told in other units."""

    def told(self, cond: Condition | None) -> Condition | None:
        """The condition as a network is told it: what is data in it, in units of x_0."""
        return cond

    @abstractmethod
    def encode(self, data: Batch, cond: Condition | None = None) -> State:
        """Data to x_0, which may be what the data are beyond their condition."""

    @abstractmethod
    def decode(self, x_0: State, cond: Condition | None = None) -> Batch:
        """x_0 to data, held to the range that was measured (where it is `bounded`) and to the
        data's own levels; a gradient passes over both on its way back."""

    @abstractmethod
    def log_det(self, event: tuple[int, ...]) -> float:
        """log |d x_0 / d data| of a whole event: what turns a density of x_0 into one of data."""

    def event(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The shape of the x_0 of one event of data of `shape`."""
        return shape

    def places(self, known: Bool[Tensor, "batch 1 *space"]) -> Bool[Tensor, "batch 1 *place"]:
        """Where x_0 is known of data that are known where `known` is true."""
        return known
