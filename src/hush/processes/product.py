"""Several processes at once: each part of a state is noised by its own."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from jaxtyping import Float
from torch import Tensor

from hush.distributions import Product
from hush.processes.base import Moment, Process
from hush.processes.gaussian import GaussianProcess
from hush.schedules import Level, Schedule

State = dict[str, Tensor]


@dataclass(frozen=True)
class ProductProcess(Process):
    """Independent forward processes by name, over states that are dictionaries of theirs.

    All parts share the time; each has its own schedule, so one part may run at another speed. The
    first part's schedule is the one grids walk.
    """

    parts: dict[str, Process] = field(default_factory=lambda: {"x": GaussianProcess()})

    @property
    def schedule(self) -> Schedule:
        """The first part's."""
        return next(iter(self.parts.values())).schedule

    def prior(self, shape: dict[str, tuple[int, ...]], like: Tensor) -> Product:
        return Product({name: part.prior(shape[name], like) for name, part in self.parts.items()})

    def marginal(self, x_0: State, t: Moment) -> Product:
        return Product({name: part.marginal(x_0[name], at) for name, part, at in self._at(t)})

    def transition(self, x_s: State, s: Moment, t: Moment) -> Product:
        s = _time(s)
        return Product({name: part.transition(x_s[name], s, at) for name, part, at in self._at(t)})

    def reverse(
        self, posterior: Product, x_t: State, s: Moment, t: Moment, eta: float = 1.0
    ) -> Product:
        s = _time(s)
        return Product(
            {
                name: part.reverse(posterior.parts[name], x_t[name], s, at, eta)
                for name, part, at in self._at(t)
            }
        )

    def certain(self, x_0: State) -> Product:
        return Product({name: part.certain(x_0[name]) for name, part in self.parts.items()})

    def seen(self, x_t: State, t: Moment) -> Product:
        return Product({name: part.seen(x_t[name], at) for name, part, at in self._at(t)})

    def rate(
        self, x_0: State, posterior: Product, x_t: State, t: Moment
    ) -> Float[Tensor, " batch"]:
        """The parts are independent: their divergences add."""
        return sum(
            part.rate(x_0[name], posterior.parts[name], x_t[name], at)
            for name, part, at in self._at(t)
        )

    def _at(self, t: Moment) -> Iterator[tuple[str, Process, Any]]:
        """Each part with the time it is at."""
        time = _time(t)
        for name, part in self.parts.items():
            yield name, part, time


def _time(t: Moment) -> Any:
    """Levels are of the first part's schedule; what the parts share is the time."""
    return t.time if isinstance(t, Level) else t
