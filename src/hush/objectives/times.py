"""Which noise levels a network is trained on: laws of the time t, given by their quantiles."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import ClassVar

import torch
from jaxtyping import Float64
from torch import Tensor, nn

from hush.errors import UserError
from hush.rng import Streams
from hush.schedules import Schedule, Tabulated

Times = Float64[Tensor, " batch"]


class TimeLaw(ABC):
    """A law of t in (0, 1]. A subclass writes its quantile function."""

    @abstractmethod
    def quantile(self, schedule: Schedule, u: Times) -> Times:
        """The time below which a share u of the draws falls."""

    def __call__(self, schedule: Schedule, rng: Streams) -> Times:
        """One time per sample, each from its own stream."""
        return self.quantile(schedule, rng.uniform())

    def correction(self, schedule: Schedule, t: Times) -> Tensor | float:
        """What a loss at t is to be multiplied with, where a law draws some times more often than
        it means them to count."""
        return 1.0

    def observe(self, schedule: Schedule, t: Times, loss: Tensor) -> None:  # noqa: B027
        """Told of every training loss; a law that learns from them notes them here."""

    def learn(self, gather: Callable[[Tensor], Tensor] = lambda rows: rows) -> None:  # noqa: B027
        """Take to heart what was observed since the last time; the trainer says so once a step.
        `gather` joins the rows of all processes in the order of their samples."""


@dataclass(frozen=True)
class Uniform(TimeLaw):
    """Every step of a chain alike (i ~ U{1 … T}); every time of (shortest, 1) alike elsewhere.

    `shortest` keeps away from t = 0, where there is no noise to see. Ho et al. 2020, algorithm 1.
    With `between`, times of a chain lie between its steps, too, and only none before the first.
    """

    shortest: float = 1e-5
    between: bool = False

    def quantile(self, schedule: Schedule, u: Times) -> Times:
        if isinstance(schedule, Tabulated) and self.between:
            return (1.0 + (schedule.steps - 1.0) * u) / schedule.steps
        if isinstance(schedule, Tabulated):
            return ((u * schedule.steps).floor() + 1.0).clamp(max=schedule.steps) / schedule.steps
        return self.shortest + (1.0 - self.shortest) * u


@dataclass(frozen=True)
class LogNormal(TimeLaw):
    """ln(σ/α) ~ N(mean, deviation²). Karras et al. 2022, table 1, there of ln σ."""

    mean: float = -1.2
    deviation: float = 1.2

    def quantile(self, schedule: Schedule, u: Times) -> Times:
        log_ratio = self.mean + self.deviation * torch.special.ndtri(u)
        return schedule.time(-2.0 * log_ratio)


@dataclass(frozen=True)
class Stratified(TimeLaw):
    """Another law drawn evenly: samples k·parts, …, (k + 1)·parts - 1 share one uniform offset, to
    which the place of each in its group adds a multiple of 1/parts,

    u = (offset + Σ_b 2^(-b-1) bit_b(place)) mod 1, place = index mod parts.

    Each group covers the noise levels evenly, and so does each half of it, each quarter and so on
    (van der Corput's sequence): the loss of a batch varies less, also of one that is smaller than a
    group. A time depends on the index of its sample alone, however batches are split.

    Kingma et al. 2021, appendix I.1, where the group is the batch. Raises `UserError` unless
    `parts` is a power of 2.
    """

    law: TimeLaw = field(default_factory=Uniform)
    parts: int = 64

    cite: ClassVar[str] = "Kingma, Salimans, Poole, Ho 2021, Variational diffusion models"

    def __post_init__(self) -> None:
        if self.parts < 1 or self.parts & (self.parts - 1):
            raise UserError(f"Stratified wants a power of 2 as parts, got {self.parts}.")
        if isinstance(self.law, nn.Module):
            raise UserError("Stratified spreads laws that are fixed: use LossAware by itself.")

    def quantile(self, schedule: Schedule, u: Times) -> Times:
        return self.law.quantile(schedule, u)

    def __call__(self, schedule: Schedule, rng: Streams) -> Times:
        place = rng.index % self.parts
        offset = replace(rng, index=rng.index - place).uniform()
        bits = range(self.parts.bit_length() - 1)
        spread = sum(0.5 ** (bit + 1) * ((place >> bit) & 1).double() for bit in bits)
        return self.quantile(schedule, (offset + spread) % 1.0)


@dataclass(frozen=True)
class LogSNR(TimeLaw):
    """Every log-SNR alike, from that of t = 1 (or `lowest`, if a schedule ends blinder than it) to
    that of the time `shortest`: the importance sampling of likelihood training, under which
    `weights.Simple` is the bound. On a variance-preserving schedule it is a density ∝ β/σ².

    Song et al. 2021, "Maximum likelihood training of score-based diffusion models", section 5.
    """

    shortest: float = 1e-3
    lowest: float = -20.0

    def quantile(self, schedule: Schedule, u: Times) -> Times:
        ends = torch.tensor([1.0, self.shortest], dtype=torch.float64, device=u.device)
        low, high = schedule.log_snr(ends).clamp(min=self.lowest)
        return schedule.time(high + u * (low - high))


class LossAware(TimeLaw, nn.Module):
    """Steps of a chain drawn the more often the larger their losses vary: p_t ∝ √E[L_t²] over the
    last `history` losses of each step, every step alike until all have as many. It learns, so it
    is no frozen value: what it remembers is saved with the run. It remembers once a step of the
    training, so that no loss of a step changes what another one draws.

    Nichol and Dhariwal 2021, "Improved denoising diffusion probabilistic models", eq. 18.
    """

    def __init__(self, steps: int = 1000, history: int = 10, evenly: float = 0.001) -> None:
        super().__init__()
        self.evenly = evenly
        self._notes: list[Tensor] = []
        self.register_buffer("losses", torch.zeros(steps, history, dtype=torch.float64))
        self.register_buffer("seen", torch.zeros(steps, dtype=torch.int64))

    def quantile(self, schedule: Schedule, u: Times) -> Times:
        reached = self._chances(schedule).cumsum(0).to(u.device)
        place = torch.searchsorted(reached, u * reached[-1]).clamp(max=len(reached) - 1)
        return (place.double() + 1.0) / len(reached)

    def correction(self, schedule: Schedule, t: Times) -> Tensor:
        """1/(T p_t): the loss keeps its mean, whatever is drawn."""
        chances = self._chances(schedule).to(t.device)
        return 1.0 / (len(chances) * chances[self._place(t)])

    def observe(self, schedule: Schedule, t: Times, loss: Tensor) -> None:
        self._notes.append(torch.stack((self._place(t).double(), loss.detach().double()), 1))

    def learn(self, gather: Callable[[Tensor], Tensor] = lambda rows: rows) -> None:
        """Remember the losses noted since the last time, in the order of their samples; those that
        are not finite are forgotten, as the step that they belong to is."""
        if not self._notes:
            return
        rows = gather(torch.cat(self._notes))
        self._notes.clear()
        for place, loss in rows[rows[:, 1].isfinite()].tolist():
            step = int(place)
            self.losses[step, self.seen[step] % self.losses.shape[1]] = loss
            self.seen[step] += 1

    def _place(self, t: Times) -> Tensor:
        return (t * len(self.seen)).round().long() - 1

    def _chances(self, schedule: Schedule) -> Tensor:
        steps, history = self.losses.shape
        if not isinstance(schedule, Tabulated) or schedule.steps != steps:
            raise UserError(
                f"LossAware remembers the losses of {steps} steps, the schedule is {schedule}: "
                "give it the steps of the chain it is to draw from."
            )
        if (self.seen < history).any():
            return torch.full((steps,), 1.0 / steps, dtype=torch.float64)
        sizes = (self.losses**2).mean(1).sqrt()
        return (1.0 - self.evenly) * sizes / sizes.sum() + self.evenly / steps
