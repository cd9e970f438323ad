"""What a forward process is: five laws, and nothing of networks or samplers."""

from abc import ABC, abstractmethod
from typing import Any

from jaxtyping import Float
from torch import Tensor

from hush.schedules import Level, Schedule
from hush.tensors import Number

Moment = Level | Number


class Process(ABC):
    """The forward law q of the data becoming noise. Times may be floats, tensors (batch,) or
    `Level`s; each law answers with a distribution."""

    schedule: Schedule

    @abstractmethod
    def prior(self, shape: tuple[int, ...], like: Tensor) -> Any:
        """The law at t = 1, of `shape` (batch, *event), in the type and on the device of `like`."""

    @abstractmethod
    def marginal(self, x_0: Tensor, t: Moment) -> Any:
        """q(x_t | x_0)."""

    @abstractmethod
    def transition(self, x_s: Tensor, s: Moment, t: Moment) -> Any:
        """q(x_t | x_s) for s < t."""

    @abstractmethod
    def reverse(self, posterior: Any, x_t: Tensor, s: Moment, t: Moment, eta: float = 1.0) -> Any:
        """The law of x_s given x_t, s < t: q(x_s | x_t, x_0) averaged over x_0 ~ posterior."""

    @abstractmethod
    def certain(self, x_0: Any) -> Any:
        """The belief that is sure of x_0: `reverse` of it is q(x_s | x_t, x_0)."""

    @abstractmethod
    def seen(self, x_t: Any, t: Moment) -> Any:
        """What x_t alone says of x_0, before anything is believed: ∝ q(x_t | x_0)."""

    @abstractmethod
    def rate(self, x_0: Any, posterior: Any, x_t: Any, t: Moment) -> Float[Tensor, " batch"]:
        """How fast the bound grows at t, in nats per unit of time: the limit for s → t of
        KL(q(x_s | x_t, x_0) ‖ reverse(posterior))/(t - s), per sample."""
