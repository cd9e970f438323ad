"""What a task is: records to examples for training, a user's request to what a walk needs."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

from jaxtyping import Float
from torch import Tensor

from hush.data import grid
from hush.rng import Streams
from hush.tensors import Condition


class Example(NamedTuple):
    """What is learnt from a batch of records: data in their own units, what they are to be made
    from, and where an error counts (everywhere without a mask)."""

    data: Tensor
    cond: Condition | None = None
    mask: Tensor | None = None


@dataclass(frozen=True)
class Task(ABC):
    """What a user asks of a model of events of `shape`, which may be told one of `classes`."""

    shape: tuple[int, ...]
    classes: tuple[str, ...] = ()

    asks: ClassVar[bool] = False
    """Whether there is nothing to draw before something is given."""
    shows: ClassVar[int] = 36
    """How many samples a picture of them shows or, where the task `asks`, how many things given."""
    answers: ClassVar[int] = 1
    """And how many answers to each of these."""

    @abstractmethod
    def example(self, record: dict[str, Tensor], rng: Streams) -> Example:
        """What to learn from a batch of records, the draws of each from its own stream."""

    def picture(
        self, answers: Tensor, cond: Condition | None = None, data: Tensor | None = None
    ) -> Float[Tensor, "channel height width"]:
        """The samples as one picture to look at, in [0, 1]; where the task `asks`, beside what was
        given and what is true. Of several answers to each, all have one before any has another."""
        return grid(answers)

    @abstractmethod
    def request(self, count: int, cond: Any) -> tuple[tuple[int, ...], Condition | None]:
        """(shape, condition) of `count` samples of what was asked for."""
