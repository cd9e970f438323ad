"""RePaint: any sampler, held to what is known of the answer on its way down."""

from dataclasses import dataclass, field, replace
from typing import ClassVar

from hush.denoisers import Denoiser
from hush.samplers.ancestral import Ancestral
from hush.samplers.base import Sampler
from hush.samplers.base import State as Standing
from hush.samplers.grids import Grid, Times, Uniform
from hush.schedules import Level, Schedule
from hush.tensors import Condition, State, select, spread


@dataclass(frozen=True)
class RePaint(Sampler):
    """After every step of `sampler`, the part of x_0 that is known replaces what was drawn there:
    x_s = mask·q(x_s | known) + (1 - mask)·step. On the grid `Jumps`, which goes back up, both parts
    come to fit each other.

    `known` is x_0 (batch, *event) or broadcasts to it, `mask` is true where it is known; with none
    it is the inner sampler. It does not condition exactly: on correlated Gaussians the unknown part
    is drawn toward its marginal, less with more repeats (`tests/test_repaint.py`).
    """

    sampler: Sampler = field(default_factory=Ancestral)
    known: State | None = None
    mask: State | None = None

    cite: ClassVar[str] = (
        "Lugmayr et al. 2022, RePaint: inpainting using denoising diffusion probabilistic models"
    )

    @property
    def tokens(self) -> bool:
        """As the inner sampler."""
        return self.sampler.tokens

    @property
    def order(self) -> int:
        """The inner sampler's."""
        return self.sampler.order

    def step(
        self, denoiser: Denoiser, state: Standing, s: Level, cond: Condition | None = None
    ) -> Standing:
        after = self.sampler.step(denoiser, state, s, cond)
        if self.known is None or self.mask is None:
            return after
        known = spread(self.known, after.x)
        drawn = denoiser.process.marginal(known, s).sample(after.rng)
        return replace(after, x=select(self.mask, drawn, after.x), rng=after.rng.next())


@dataclass(frozen=True)
class Jumps(Grid):
    """The times of another grid, some of them walked again and again: wherever the steps still to
    go, less one, are a multiple of `length` (and leave room), the walk goes `length` steps back up
    and comes down again, `repeats` - 1 times. `repeats` 1 is the grid itself.

    Lugmayr et al. 2022, section 4.2 and appendix B, with the steps of their published schedule.
    """

    grid: Grid = field(default_factory=Uniform)
    length: int = 10
    repeats: int = 10

    climbs: ClassVar[bool] = True

    def times(self, schedule: Schedule) -> Times:
        return replace(self.grid, steps=self.steps).times(schedule)[self.visits()]

    def visits(self) -> list[int]:
        """Which step of the grid the walk stands at, one after the other, 0 being the noise."""
        turns = range(0, self.steps - self.length, self.length)
        left = {self.steps - 1 - turn: self.repeats - 1 for turn in turns}
        path = [0]
        while path[-1] < self.steps:
            path.append(path[-1] + 1)
            if left.get(path[-1], 0) > 0:
                left[path[-1]] -= 1
                path += range(path[-1] - 1, path[-1] - self.length - 1, -1)
        return path
