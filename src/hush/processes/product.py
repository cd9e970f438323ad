"""Several processes at once: each part of a state is noised by its own."""

from collections.abc import Callable
from dataclasses import dataclass, field

from jaxtyping import Float
from torch import Tensor

from hush.distributions import Distribution, Gaussian, Product
from hush.errors import UserError
from hush.processes.base import Moment, Process
from hush.processes.gaussian import GaussianProcess
from hush.schedules import Level, Schedule
from hush.tensors import Number

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
        return self._each(lambda name, part: part.prior(shape[name], like))

    def marginal(self, x_0: State, t: Moment) -> Product:
        t = _time(t)
        return self._each(lambda name, part: part.marginal(x_0[name], t))

    def transition(self, x_s: State, s: Moment, t: Moment) -> Product:
        s, t = _time(s), _time(t)
        return self._each(lambda name, part: part.transition(x_s[name], s, t))

    def reverse(
        self, posterior: Product, x_t: State, s: Moment, t: Moment, eta: float = 1.0
    ) -> Product:
        s, t, belief = _time(s), _time(t), posterior.parts
        return self._each(lambda name, part: part.reverse(belief[name], x_t[name], s, t, eta))

    def certain(self, x_0: State) -> Product:
        return self._each(lambda name, part: part.certain(x_0[name]))

    def seen(self, x_t: State, t: Moment) -> Product:
        t = _time(t)
        return self._each(lambda name, part: part.seen(x_t[name], t))

    def rate(
        self, x_0: State, posterior: Product, x_t: State, t: Moment
    ) -> Float[Tensor, " batch"]:
        """The parts are independent: their divergences add."""
        t, belief = _time(t), posterior.parts
        rates = (p.rate(x_0[name], belief[name], x_t[name], t) for name, p in self.parts.items())
        return sum(rates)

    def _each(self, law: Callable[[str, Process], Distribution]) -> Product:
        """The law of every part, by its name."""
        return Product({name: law(name, part) for name, part in self.parts.items()})


@dataclass(frozen=True)
class Still(Process):
    """A part that is not noised at all, as a condition shown clean: all its laws are points, and it
    adds nothing to a bound. It has no speed, so it is never the first part."""

    def prior(self, shape: tuple[int, ...], like: Tensor) -> Gaussian:
        """Raises `UserError`: what is never noised cannot be drawn."""
        raise UserError(
            "A part that stays still is known from the start and cannot be drawn: give it, or give "
            "it a process that noises it."
        )

    def marginal(self, x_0: Tensor, t: Moment) -> Gaussian:
        return Gaussian(x_0)

    def transition(self, x_s: Tensor, s: Moment, t: Moment) -> Gaussian:
        return Gaussian(x_s)

    def reverse(
        self, posterior: Gaussian, x_t: Tensor, s: Moment, t: Moment, eta: float = 1.0
    ) -> Gaussian:
        return Gaussian(x_t)

    def certain(self, x_0: Tensor) -> Gaussian:
        return Gaussian(x_0)

    def seen(self, x_t: Tensor, t: Moment) -> Gaussian:
        return Gaussian(x_t)

    def rate(
        self, x_0: Tensor, posterior: Gaussian, x_t: Tensor, t: Moment
    ) -> Float[Tensor, " batch"]:
        return x_0.new_zeros(len(x_0))


def _time(t: Moment) -> Number:
    """Levels are of the first part's schedule; what the parts share is the time."""
    return t.time if isinstance(t, Level) else t
