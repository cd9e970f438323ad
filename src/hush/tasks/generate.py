"""Generation: draw new data, of a class if the data have classes."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from hush.errors import UserError, nearest
from hush.rng import Streams
from hush.tasks.base import Example, Task

Choice = int | str | Sequence[int | str] | Tensor


@dataclass(frozen=True)
class Generate(Task):
    """Records of a field named `field`, and of a "label" if the model has `classes`."""

    field: str = "image"

    def example(self, record: dict[str, Tensor], rng: Streams) -> Example:
        """The label is the condition, everything counts."""
        return Example(record[self.field], record["label"] if self.classes else None)

    def request(self, count: int, cond: Choice | None) -> tuple[tuple[int, ...], Tensor | None]:
        """(shape, condition) for `count` samples of the asked class or classes, in turn.

        A class is its name or its number, -1 none in particular. Without `cond`, a model with
        classes draws from all of them, in turn.
        """
        shape = (count, *self.shape)
        if not self.classes:
            if cond is not None:
                raise UserError(f"Class {cond!r} was asked of a model trained without classes.")
            return shape, None
        if cond is None:
            return shape, torch.arange(count) % len(self.classes)
        if isinstance(cond, Tensor):
            cond = cond.tolist()
        chosen = [cond] if isinstance(cond, int | str) else list(cond)
        labels = torch.tensor([self._label(choice) for choice in chosen])
        return shape, labels[torch.arange(count) % len(labels)]

    def _label(self, choice: int | str) -> int:
        if choice == -1:
            return -1
        if isinstance(choice, str) and choice in self.classes:
            return self.classes.index(choice)
        number = int(choice) if str(choice).isdigit() else -1
        if not 0 <= number < len(self.classes):
            hint = nearest(str(choice), self.classes)
            raise UserError(f"There is no class {choice!r} in this model: {hint}")
        return number
