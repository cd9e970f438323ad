"""Noise, and the walk back: DiffPure, its deterministic kind, and the one held near the picture."""

from abc import abstractmethod
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor

from hush.denoisers import Denoiser
from hush.distributions import Gaussian
from hush.errors import UserError
from hush.guidance import Guidance
from hush.guidance.evidence import Evidence
from hush.rng import Streams
from hush.samplers import Ancestral, Sampler, walk
from hush.schedules import Level, Schedule, Tabulated
from hush.system import System
from hush.tasks.purify.base import Purifier, State, asked
from hush.tensors import Condition, expand


@dataclass(frozen=True)
class Renewed(Purifier):
    """x_t ~ q(x_t | x_0) at t = `depth`, then back to t = 0 in `steps` steps of a sampler; all of
    it `rounds` times. `depth` is the paper's t*, on the clock of the run's own schedule.

    Raises:
        UserError: a depth that is not above 0 and at most 1, fewer than 1 step or round.
    """

    depth: float = 0.1
    steps: int = 50
    sampler: Sampler = field(default_factory=Ancestral)
    rounds: int = 1

    def __post_init__(self) -> None:
        if not 0.0 < self.depth <= 1.0:
            raise UserError(
                f"depth is the time to noise to, above 0 (the data) and at most 1, got {self.depth}"
                ": the paper's is 0.1."
            )
        for name in ("steps", "rounds"):
            if getattr(self, name) < 1:
                raise UserError(f"{name} must be at least 1, got {getattr(self, name)}.")

    def clean(self, system: System, x_0: State, rng: Streams) -> State:
        levels = descent(system.denoiser.process.schedule, self.depth, self.steps)
        for _ in range(self.rounds):
            guidance = self.guidance(x_0, rng.branch("near"))
            denoiser = asked(system, guidance)
            x_t = denoiser.process.marginal(x_0, levels[0]).sample(rng)
            *_, last = walk(self.sampler, denoiser, x_t, levels, rng.next())
            x_0, rng = last.x, last.rng
        return x_0

    @abstractmethod
    def guidance(self, x_0: State, rng: Streams) -> Guidance | None:
        """What the walk is held to, given the x_0 of this round."""


@dataclass(frozen=True)
class DiffPure(Renewed):
    """The process's own noise and its reverse SDE: the attacked and the clean become hard to tell
    apart as t* rises, KL(p_t ‖ q_t) falling in t, and so do the pictures from each other.

    Their solver of the SDE is Euler's (`EulerMaruyama`); `Ancestral` draws from the chain's reverse
    law and goes to the same limit.
    """

    cite: ClassVar[str] = (
        "Nie et al. 2022, Diffusion models for adversarial purification, arXiv:2205.07460"
    )

    def guidance(self, x_0: State, rng: Streams) -> None:
        return None


@dataclass(frozen=True)
class Deterministic(Renewed):
    """The same noise, walked back by DDIM (η = 0) in few steps: all that is random is the start.
    Nothing in it knows what attack is to come."""

    steps: int = 20
    sampler: Sampler = field(default_factory=lambda: Ancestral(eta=0.0))

    cite: ClassVar[str] = (
        "Blau et al. 2022, Threat model-agnostic adversarial defense using diffusion models, "
        "arXiv:2207.08089"
    )

    def guidance(self, x_0: State, rng: Streams) -> None:
        return None


@dataclass(frozen=True)
class Guided(Renewed):
    """`DiffPure` held near the picture on its way down, several times over (GDMP): `Near` of
    `scale`, the x_0 of each round being what it is held to. At scale 0 it is `DiffPure`.

    The scale is an assumption about the attack: 3 divided by the largest change that a pixel is
    expected to have suffered, in units of x_0 (8/255 of [0, 1] is 0.063 of [-1, 1], hence 48).
    """

    depth: float = 0.036
    steps: int = 36
    rounds: int = 4
    scale: float = 48.0

    cite: ClassVar[str] = (
        "Wang et al. 2022, Guided diffusion model for adversarial purification, arXiv:2205.14969"
    )

    def guidance(self, x_0: State, rng: Streams) -> Guidance:
        return Near(x_0, rng, self.scale)


@dataclass(frozen=True)
class Near(Evidence):
    """score ← score - s_t ∇D(x_t, x_{a,t}), D = ½ ‖x_t - x_{a,t}‖², s_t = scale·σ_t/α_t, with
    x_{a,t} ~ q(x_t | x_a) drawn anew at every level from the streams of the samples.

    `x_0` (batch, *event) is x_a. Without it, or at scale 0, there is no guidance. The gradient is
    a difference and costs nothing. A step of variance β = σ_{t|s}² goes about β s_t of the way from
    x_t to x_{a,t}: above 2 the walk swings, and only the run's own threshold holds it.
    """

    x_0: Tensor | None = None
    rng: Streams | None = None
    scale: float = 1.0

    neutral: ClassVar[float | None] = 0.0
    cite: ClassVar[str] = Guided.cite

    @property
    def speaks(self) -> bool:
        return self.x_0 is not None and self.scale != 0.0

    def weigh(
        self, denoiser: Denoiser, x_t: Tensor, level: Level, cond: Condition | None
    ) -> tuple[Gaussian, Tensor]:
        law = denoiser.process.marginal(self.x_0, level)
        near = law.sample(self.rng.branch(f"{level.time}"))
        slope = expand(self.scale * level.sigma / level.alpha, x_t) * (near - x_t)
        return denoiser(x_t, level, cond), slope


def descent(schedule: Schedule, depth: float, steps: int) -> list[Level]:
    """The levels of `steps` even steps from t = `depth` to 0: of a discrete chain its own steps,
    all that there are if there are fewer, and the nearest one to begin with."""
    times = torch.linspace(depth, 0.0, steps + 1, dtype=torch.float64)
    if isinstance(schedule, Tabulated):
        first = max(1, round(depth * schedule.steps))
        steps = min(steps, first)
        times = torch.linspace(first, 0.0, steps + 1, dtype=torch.float64).round() / schedule.steps
    return schedule.levels(times)
