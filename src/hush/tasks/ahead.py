"""Series told stamp by stamp, each from those before it."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from hush.data.bands import bands
from hush.networks.series import SERIES, TIME
from hush.rng import Streams
from hush.tasks.base import Example
from hush.tasks.series import Impute
from hush.tensors import Condition


@dataclass(frozen=True)
class Ahead(Impute):
    """The last stamp of a series, from all before it. `tasks.impute` tells many, one after the
    other, each given what the others were told to be.

    Training looks at all stamps of a window at once, each told from its own past: the condition is
    the whole window, and it is the network that looks at no stamp but those before.
    """

    def example(self, record: dict[str, Tensor], rng: Streams) -> Example:
        """The window, whatever is known of it counts."""
        data = record[SERIES]
        return Example(data, self._told(record, data), ~data.isnan())

    def request(self, count: int, cond: Any) -> tuple[tuple[int, ...], Condition]:
        """(shape, condition) for `count` answers (channel, 1) to the last stamps of series, in
        turn; what is known of these is not looked at."""
        shape, told = super().request(count, cond)
        ended = told[SERIES].clone()
        ended[..., -1] = torch.nan
        return (*shape[:2], 1), {**told, SERIES: ended}

    def picture(
        self, answers: Tensor, cond: Condition | None = None, data: Tensor | None = None
    ) -> Tensor:
        """Windows one below the other: what is known, and bands of the answers at the last."""
        past = cond[SERIES][..., :-1]
        told = answers.unflatten(0, (-1, len(past))).transpose(0, 1)
        before = past.unsqueeze(1).expand(-1, told.shape[1], -1, -1)
        seen = torch.nn.functional.pad(past, (0, 1), value=torch.nan)
        return bands(seen, torch.cat((before, told), -1), data, cond[TIME])
