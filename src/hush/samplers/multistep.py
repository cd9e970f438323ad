"""Multistep solvers: one evaluation a step, one class for a whole family."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Literal, NamedTuple

from torch import Tensor

from hush.denoisers import Denoiser
from hush.errors import UserError
from hush.samplers.base import Sampler, State
from hush.samplers.bases import Basis, Velocity
from hush.samplers.interpolation import Along, Rule, mean_shares
from hush.samplers.paths import Drift
from hush.samplers.solvers import RungeKutta
from hush.schedules import Level
from hush.tensors import Condition, Terms, total, weighted


class Past(NamedTuple):
    """An evaluation already paid for: where it was, the state there, and the slope."""

    t: Level
    x: Tensor
    slope: Terms


class Memory(NamedTuple):
    """The evaluations still of use, newest last; the noise that is on its way, and what of it the
    last step added; where that step ended."""

    past: tuple[Past, ...] = ()
    drift: Drift | None = None
    kick: Tensor | float = 0.0
    end: Tensor | None = None


@dataclass(frozen=True)
class Multistep(Sampler):
    """Adams' methods in the coordinates of a basis: the slope is interpolated by a polynomial
    through the last `order` evaluations, and integrated.

    order      evaluations behind each step, 1 (DDIM) to 5
    basis      what is interpolated; with `Data(tau)` above 0 the noise of its SDE is added
    corrector  once the evaluation at the end of a step is there, the step is redone through the
               last so many, that one included, which costs no evaluation; 0 is none
    along      what the polynomial runs in: the basis' variable, the log-SNR or the time
    rule       how it is integrated, see `mean_shares`
    start      how orders above 2 begin, see below
    tail       orders of the last steps, where they shall be lower, as (2, 1)

    A start of "lower" orders costs no evaluation: the first step, Euler's, is redone by the
    trapezoid (or by the corrector) once the second evaluation is there, which keeps order 3.
    "runge_kutta" keeps orders 4 and 5, by so many steps of `RungeKutta(4)`. "again" evaluates once
    more where the first step was redone, as PNDM does. Walks with noise begin with lower orders.
    Along the time the order is at most 2.

        DPM-Solver++ 2M   Multistep(2, Data(), along="log_snr", rule="midpoint")
        the same, SDE     Multistep(2, Data(tau=1), along="log_snr", rule="midpoint")
        UniPC             Multistep(3, Data(), corrector=4, along="log_snr")
        DEIS              Multistep(3, Noise(), along="log_snr")
        PNDM              Multistep(4, Noise(), along="time", start="again")
        SA-Solver         Multistep(3, Data(tau=1), corrector=3, along="log_snr")
    """

    order: int = 3
    basis: Basis = field(default_factory=Velocity)
    corrector: int = 0
    along: Along = "variable"
    rule: Rule = "exact"
    start: Literal["lower", "runge_kutta", "again"] = "runge_kutta"
    tail: tuple[int, ...] = ()

    cite: ClassVar[str] = (
        "Hairer, Nørsett, Wanner 1993, Solving ordinary differential equations I, section III.5; "
        "Liu, Ren, Lin, Zhao 2022, Pseudo numerical methods for diffusion models on manifolds; "
        "Zhang, Chen 2023, Fast sampling of diffusion models with exponential integrator; "
        "Lu et al. 2022, DPM-Solver++: fast solver for guided sampling of diffusion models; "
        "Zhao et al. 2023, UniPC: a unified predictor-corrector framework; "
        "Xue et al. 2023, SA-Solver: stochastic Adams solver for fast sampling"
    )

    def __post_init__(self) -> None:
        if self.order not in range(1, 6):
            raise UserError(f"Multistep has orders 1 to 5, got {self.order}.")
        if self.corrector not in range(7):
            raise UserError(f"Multistep's corrector is 0 (none) to 6, got {self.corrector}.")

    @property
    def claims(self) -> int:
        """Along the time 2, however many evaluations; from a start of lower orders 3."""
        most = 2 if self.along == "time" else 5 if self.start == "runge_kutta" else 3
        return min(self.order, most)

    def step(
        self, denoiser: Denoiser, state: State, s: Level, cond: Condition | None = None
    ) -> State:
        past, drift, kick, end = state.memory or self._begun(denoiser, state)
        x, t = state.x, state.t
        here = self._asked(denoiser, x, t, cond)
        # Where the state was changed since (RePaint), there is no step of ours to be redone.
        if x is end and (count := self._redone(len(past), state.left)):
            x = self._advance(past[-1], t, (*past, here)[-count:], kick)
            again = self.start == "again" and len(past) == 1
            here = self._asked(denoiser, x, t, cond) if again else here._replace(x=x)
        past = (*past, here)[-self._kept :]
        kick, drift = drift.to(s) if drift else (0.0, None)
        if self._starts(len(past)):
            solver = RungeKutta(4, self.basis, self.along)
            x = solver.advance(denoiser, x, t, s, here.slope, cond)
        else:
            x = self._advance(here, s, past[-self._order(state.left) :], kick)
        return state.moved(x, s, Memory(past, drift, kick, x))

    def _begun(self, denoiser: Denoiser, state: State) -> Memory:
        tau = self.basis.tau
        return Memory(drift=Drift.of(state, denoiser.process, tau) if tau else None)

    @property
    def _kept(self) -> int:
        """How many evaluations are remembered."""
        return max(self.order, self.corrector - 1)

    def _asked(self, denoiser: Denoiser, x: Tensor, t: Level, cond: Condition | None) -> Past:
        """An evaluation; the slope is added up if it will count more than once."""
        slope = self.basis.slope(denoiser(x, t, cond), x, t)
        return Past(t, x, ((1.0, total(slope)),) if self._kept > 1 else slope)

    def _starts(self, known: int) -> bool:
        """Whether the step from the `known`th evaluation is one of Runge-Kutta's."""
        plain = self.order <= 3 or self.basis.tau > 0.0
        return self.start == "runge_kutta" and not plain and known < self.order

    def _order(self, left: int) -> int:
        """The order of the step with so many left, itself included."""
        return self.tail[-left] if 0 < left <= len(self.tail) else self.order

    def _redone(self, known: int, left: int) -> int:
        """Through how many evaluations the last step is redone, `known` before the newest."""
        if self._starts(known):
            return 0
        begin = 2 if known == 1 and self.order > 2 else 0
        if not self.corrector:
            return begin
        return max(min(self.corrector - self.order + self._order(left + 1), known + 1), begin)

    def _advance(
        self, start: Past, s: Level, nodes: Sequence[Past], kick: Tensor | float
    ) -> Tensor:
        levels = [node.t for node in nodes]
        shares = mean_shares(self.basis, levels, start.t, s, self.along, self.rule)
        mean = weighted(shares, [node.slope for node in nodes])
        return self.basis.advance(start.x, start.t, s, mean, kick)
