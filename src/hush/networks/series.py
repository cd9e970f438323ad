"""What networks of series are told beside the noised one: what is known of it, and when."""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from hush.tensors import Condition

SERIES = "series"  # what the parts of a condition are called
TIME = "time"
COVARIATES = "covariates"

Series = Float[Tensor, "batch channel length"]


class Known(NamedTuple):
    """What a network is told, in the type of what it computes."""

    values: Series
    """In units of x_0, 0 where nothing is known."""
    seen: Bool[Tensor, "batch channel length"]
    time: Float[Tensor, "batch length"]
    covariates: Float[Tensor, "batch feature length"]

    def shown(self, x: Series) -> Series:
        """The noised series, what is known of it clean."""
        return torch.where(self.seen, self.values, x)

    def asked(self, answer: Series) -> Series:
        """The answer, 0 where nothing is asked: a walk there is a straight line, whatever x is."""
        return torch.where(self.seen, 0.0, answer)


def known(cond: Condition | None, x: Series, features: int) -> Known:
    """What the condition {"series", "time", "covariates"} says of x: values that are NaN are not
    known, stamps that are not told are 0, 1, 2, …, and covariates 0. Without a condition nothing
    is known."""
    cond = cond or {}
    values = cond.get(SERIES, torch.full_like(x, torch.nan)).to(x)
    counted = torch.arange(x.shape[2], device=x.device).expand(len(x), -1)
    time = cond.get(TIME, counted).to(x)
    blank = x.new_zeros(len(x), features, x.shape[2])
    covariates = cond.get(COVARIATES, blank).to(x) if features else blank
    time = torch.where(time.isnan(), counted.to(x), time)
    return Known(values.nan_to_num(), ~values.isnan(), time, covariates.nan_to_num())
