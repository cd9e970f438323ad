"""What a sampler is, and the one loop that walks it.

prior ── x at t=1 ──► step ──► x at s ──► step ──► … ──► x at t=0
                       ▲ asks denoiser(x, t, cond) for its belief over x_0
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor

from hush.denoisers import Denoiser
from hush.errors import UserError
from hush.rng import Streams
from hush.schedules import Level
from hush.tensors import Condition


@dataclass(frozen=True)
class State:
    """Where a walk stands: x at level t, the random streams still to spend, what the sampler wants
    to remember (its `memory`, empty at the start), and how many steps are `left`, this one
    included, of the `steps` of the whole walk (0 where nobody counts)."""

    x: Tensor | dict[str, Tensor]
    t: Level
    rng: Streams
    memory: Any = ()
    left: int = 0
    steps: int = 0

    def moved(self, x: Tensor | dict[str, Tensor], s: Level, memory: Any = ()) -> "State":
        """The state after a step that spent one draw."""
        return State(x, s, self.rng.next(), memory, max(self.left - 1, 0), self.steps)


class Sampler(ABC):
    """A frozen value that knows how to take one step. A run leaves no trace in it: the same state
    always gives the same next state.

    `order` is the power of 1/steps its error falls with where it draws nothing; it is held to it.
    Order 0 is for samplers that follow a tolerance, whatever the steps.
    """

    order: ClassVar[int] = 1
    tokens: ClassVar[bool] = False
    """Whether it can walk tokens: whether it asks no more than to draw from a law."""

    @property
    def claims(self) -> int:
        """The order it is held to, where that is not the `order` it is made of."""
        return self.order

    @abstractmethod
    def step(
        self, denoiser: Denoiser, state: State, s: Level, cond: Condition | None = None
    ) -> State:
        """From state.t to the cleaner level s."""


def walk(
    sampler: Sampler,
    denoiser: Denoiser,
    x: Tensor | dict[str, Tensor] | State,
    levels: Sequence[Level],
    rng: Streams,
    cond: Condition | None = None,
) -> Iterator[State]:
    """The states of a sampler along the levels, the first one included. Progress, recording and
    stopping early belong to the caller.

    `levels` come from a grid, `grid(schedule)`, or are a part of it: to start in the middle or stop
    there; `x` is what stands at the first of them, or a whole `State` to be taken up. A step to a
    noisier level (of grids that go back up) adds the process's own noise, q(x_s | x_t), and begins
    the sampler's memory anew.
    """
    steps = len(levels) - 1
    state = x if isinstance(x, State) else State(x, levels[0], rng, left=steps, steps=steps)
    _must_suit(sampler, state.x)
    yield state
    for s in levels[1:]:
        if s.time > state.t.time:
            law = denoiser.process.transition(state.x, state.t, s)
            state = state.moved(law.sample(state.rng), s)
        else:
            state = sampler.step(denoiser, state, s, cond)
        yield state


def _must_suit(sampler: Sampler, x: Tensor | dict[str, Tensor]) -> None:
    tokens = isinstance(x, Tensor) and not x.is_floating_point()
    if tokens and not sampler.tokens:
        raise UserError(
            f"{type(sampler).__name__} walks numbers, and these states are tokens: use Ancestral() "
            "(by name: ancestral), or what the system brings."
        )
