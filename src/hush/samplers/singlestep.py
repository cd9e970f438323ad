"""Single-step solvers that walk the grid itself: one evaluation a step, in blocks of 2 or 3."""

from dataclasses import dataclass, field
from typing import ClassVar, NamedTuple

from torch import Tensor

from hush.denoisers import Denoiser
from hush.errors import UserError
from hush.samplers.base import Sampler, State
from hush.samplers.bases import Basis, Velocity
from hush.samplers.interpolation import Along, Rule, mean_shares
from hush.samplers.multistep import Past
from hush.schedules import Level
from hush.tensors import Condition, total, weighted


class Block(NamedTuple):
    """A block under way: how many steps it takes, and the evaluations in it so far."""

    size: int
    past: tuple[Past, ...] = ()


@dataclass(frozen=True)
class SingleStep(Sampler):
    """DPM-Solver's single-step rules in the coordinates of a basis. The grid is cut into blocks;
    every step of a block starts again from the block's first state, with the mean of the slopes
    that the steps before it found: one slope (Euler), then a line, then a parabola.

    order      of a block that is whole, 1 (DDIM) to 3: its number of steps
    basis      what is interpolated
    along      what the polynomial runs in: the basis' variable, the log-SNR or the time
    rule       "exact" integrates it; "midpoint" takes the line half way, and for the third step the
               line through the block's first and last slope, integrated
    tail       lengths of the last blocks, where they shall be other than these:

    A walk begins with as few shorter or longer blocks as let the others be whole, and never with
    one of a single step, which would cost the order: 7 steps of order 3 are 2 + 2 + 3, 7 of order 2
    are 3 + 2 + 2. What a block passes on its way to its end is of lower order. Order 3 holds on
    grids whose steps change smoothly in what the polynomial runs in.

        DPM-Solver-2, -3     SingleStep(3, Noise(), along="log_snr", rule="midpoint")
        DPM-Solver++ 2S, 3S  SingleStep(3, Data(), along="log_snr", rule="midpoint")
        their blocks         with `tail` (2, 1) for a number of steps 3k, (1,) for 3k + 1, (2,) for
                             3k + 2; of order 2, (1, 1) and (1,) for 2k and 2k + 1
    """

    order: int = 3
    basis: Basis = field(default_factory=Velocity)
    along: Along = "variable"
    rule: Rule = "exact"
    tail: tuple[int, ...] = ()

    cite: ClassVar[str] = (
        "Lu et al. 2022, DPM-Solver: a fast ODE solver for diffusion probabilistic model sampling "
        "in around 10 steps; "
        "Lu et al. 2022, DPM-Solver++: fast solver for guided sampling of diffusion models"
    )

    def __post_init__(self) -> None:
        if self.order not in (1, 2, 3):
            raise UserError(f"SingleStep has orders 1 to 3, got {self.order}.")
        if any(size not in (1, 2, 3) for size in self.tail):
            raise UserError(f"The blocks of a tail take 1 to 3 steps each, got {self.tail}.")
        if self.basis.tau:
            raise UserError(
                f"SingleStep draws no noise, and {self.basis} is the basis of an SDE: use tau=0, "
                "or the sampler Multistep."
            )

    def step(
        self, denoiser: Denoiser, state: State, s: Level, cond: Condition | None = None
    ) -> State:
        size, past = state.memory or Block(self._size(state.left))
        slope = total(self.basis.slope(denoiser(state.x, state.t, cond), state.x, state.t))
        past = (*past, Past(state.t, state.x, ((1.0, slope),)))
        x = self._advance(past, s)
        return state.moved(x, s, Block(size, past) if len(past) < size else ())

    def _size(self, left: int) -> int:
        """How many steps the block takes that begins with so many left, this one included."""
        after = 0
        for size in reversed(self.tail):
            if left <= after + size:
                return left - after
            after += size
        whole = left - after
        if whole == 1:
            return 1
        return self.order if whole % self.order == 0 else 5 - self.order

    def _advance(self, past: tuple[Past, ...], s: Level) -> Tensor:
        rule, nodes = self.rule, past
        if len(past) == 3 and rule == "midpoint":
            rule, nodes = "exact", (past[0], past[2])
        start, levels = past[0], [node.t for node in nodes]
        shares = mean_shares(self.basis, levels, start.t, s, self.along, rule)
        mean = weighted(shares, [node.slope for node in nodes])
        return self.basis.advance(start.x, start.t, s, mean)
