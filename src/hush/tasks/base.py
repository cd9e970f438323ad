"""What a task is: records to examples for training, a user's request to what a walk needs."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

from torch import Tensor

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

    @abstractmethod
    def example(self, record: dict[str, Tensor], rng: Streams) -> Example:
        """What to learn from a batch of records, the draws of each from its own stream."""

    def shown(self, cond: Condition | None) -> Tensor:
        """What was given, as it is to be seen beside the answer, where the task `asks`."""
        raise NotImplementedError(f"{type(self).__name__} is given nothing.")

    @abstractmethod
    def request(self, count: int, cond: Any) -> tuple[tuple[int, ...], Condition | None]:
        """(shape, condition) of `count` samples of what was asked for."""
