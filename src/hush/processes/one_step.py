"""Processes of one step: noise at one end, data at the other, and nothing that is told between."""

from typing import Any, ClassVar, NoReturn

from torch import Tensor

from hush.distributions import Gaussian
from hush.errors import UserError
from hush.processes.base import Moment, Process


class OneStep(Process):
    """The belief about x_0 is the walk: p(x_0 | x_1) is drawn from in one step, and until there x_1
    stays what it is. The times between 0 and 1 mean nothing, and asking about them is refused."""

    only: ClassVar[str]
    """What it does, for whoever asks for more."""

    def reverse(self, posterior: Any, x_t: Tensor, s: Moment, t: Moment, eta: float = 1.0) -> Any:
        """The belief itself at the data."""
        return posterior if self.schedule.level(s).sigma == 0.0 else Gaussian(x_t)

    def certain(self, x_0: Tensor) -> Gaussian:
        return Gaussian(x_0)

    def transition(self, x_s: Tensor, s: Moment, t: Moment) -> NoReturn:
        raise self.between()

    def seen(self, x_t: Any, t: Moment) -> NoReturn:
        raise self.between()

    def rate(self, x_0: Any, posterior: Any, x_t: Any, t: Moment) -> NoReturn:
        raise self.between()

    def between(self) -> UserError:
        """The error of asking about what there is not."""
        return UserError(
            f"{self.only}: it has no states in between, so this takes a model that has, such as "
            "ddpm or csdi."
        )
