"""Series from what is known of them: values that are missing, or still to come.

Training needs none that are: some of the known values are hidden, and learnt from the others.
"""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from hush.data.bands import bands
from hush.errors import UserError
from hush.networks.series import COVARIATES, SERIES, TIME
from hush.rng import Streams
from hush.tasks.base import Example, Task
from hush.tasks.gaps import HIDE
from hush.tensors import Condition, each

Hide = Literal["random", "historical", "mix", "blackout", "stretches", "forecast"]
Windows = Float[Tensor, "batch channel length"]

STATIC = "static"  # what a record calls what never changes within a series


@dataclass(frozen=True)
class Impute(Task):
    """The values of a window (channel, length) that are not known, from those that are, their real
    stamps and `features` covariates.

    The condition is {"series" in data units, NaN where something is to be told, "time",
    "covariates"}; what is missing from the data is neither shown nor scored. `hide` says what
    training hides of what is known:

    random       a share U(0, 1) of the values, anywhere
    historical   as values are missing in the window itself, moved along it
    mix          either, half of each
    blackout     a stretch of all channels; stretches  one of each channel, anywhere
    forecast     the last `horizon` stamps of all channels

    Tashiro et al. 2021, "CSDI", section 4.3; Alcaraz and Strodthoff 2023, "SSSD", section 3.2.
    Raises `UserError` for a forecast without a horizon that leaves something to be told from.
    """

    features: int = 0
    hide: Hide = "mix"
    horizon: int = 0

    asks: ClassVar[bool] = True
    shows: ClassVar[int] = 4
    answers: ClassVar[int] = 20

    def __post_init__(self) -> None:
        if self.hide not in (*HIDE, "forecast"):
            raise UserError(f"hide={self.hide}: expected {', '.join(HIDE)} or forecast.")
        if self.hide == "forecast" and not 0 < self.horizon < self.shape[1]:
            raise UserError(
                f"horizon={self.horizon}: a forecast within windows of {self.shape[1]} stamps "
                f"expects 1 to {self.shape[1] - 1} of them to be told."
            )

    @classmethod
    def of(
        cls, shape: tuple[int, ...], features: int = 0, horizon: int = 0, hide: Hide | None = None
    ) -> "Impute":
        """The task for windows of `shape`: unless `hide` says otherwise, a forecast where there is
        a horizon, else any gaps. Raises `UserError` for a shape that is no window's."""
        if len(shape) != 2:
            raise UserError(f"shape={tuple(shape)}: expected (channel, length) of a window.")
        return cls(shape, (), features, hide or ("forecast" if horizon else "mix"), horizon)

    def example(self, record: dict[str, Tensor], rng: Streams) -> Example:
        """The window, some of its known values hidden; only these count."""
        data = record[SERIES]
        known = ~data.isnan()
        hidden = self._hidden(known, rng)
        return Example(data, self._told(record, data.masked_fill(hidden, torch.nan)), hidden)

    def request(self, count: int, cond: Any) -> tuple[tuple[int, ...], Condition]:
        """(shape, condition) for `count` answers to windows with NaN where something is to be told,
        in turn: a tensor (window, channel, length), or a dictionary as data give them. Windows may
        be of any length. Raises `UserError` for windows that do not fit the model."""
        given = cond if isinstance(cond, dict) else {SERIES: cond}
        series = given.get(SERIES)
        if series is None:
            raise UserError(
                f"{type(self).__name__} tells what is missing from a series: give it one, by its "
                "verb, as of hush impute, or in Python cond=series (window, channel, length) with "
                "NaN where something is to be told."
            )
        if series.ndim != 3 or series.shape[1] != self.shape[0] or not series.is_floating_point():
            raise UserError(
                f"This model is given floating point series (window, {self.shape[0]}, length), got "
                f"{series.dtype} of {tuple(series.shape)}."
            )
        turn = (torch.arange(count) % len(series)).to(series.device)
        shape = (count, *series.shape[1:])
        return shape, each(lambda part: part[turn], self._told(given, series))

    def picture(
        self, answers: Tensor, cond: Condition | None = None, data: Tensor | None = None
    ) -> Tensor:
        """Windows one below the other: what is known, what was hidden, and bands of the answers."""
        windows = len(data)
        # Answers were given to the windows in turn.
        told = answers.reshape(-1, windows, *answers.shape[1:]).transpose(0, 1)
        return bands(cond[SERIES], told, data, cond[TIME])

    def _hidden(
        self, known: Bool[Tensor, "batch channel length"], rng: Streams
    ) -> Bool[Tensor, "batch channel length"]:
        if self.hide != "forecast":
            return HIDE[self.hide](known, rng)
        length = known.shape[2]
        return known & (torch.arange(length, device=known.device) >= length - self.horizon)

    def _told(self, record: dict[str, Tensor], series: Windows) -> Condition:
        """The condition: the series as it is given, and what a record says beside it."""
        windows, _, length = series.shape
        counted = torch.arange(length, device=series.device).expand(windows, -1)
        cond = {SERIES: series, TIME: record.get(TIME, counted.to(series))}
        if not self.features:
            return cond
        parts = [record[COVARIATES]] if COVARIATES in record else []
        if STATIC in record:
            parts.append(record[STATIC].unsqueeze(2).expand(-1, -1, length))
        covariates = torch.cat(parts, 1) if parts else series.new_zeros(windows, 0, length)
        if tuple(covariates.shape) != (windows, self.features, length):
            raise UserError(
                f"This model is told covariates ({windows}, {self.features}, {length}) beside such "
                f"a series, got {tuple(covariates.shape)}: read the data as they were for training."
            )
        return {**cond, COVARIATES: covariates.to(series)}
