"""What data cost a model, in bits per dimension: what it has not learnt beside what it has."""

from dataclasses import dataclass
from itertools import pairwise
from math import hypot

import torch
from torch import Tensor

from hush.data import Source, Subset
from hush.errors import UserError
from hush.evaluation.likelihood import Estimate, Method, histogram, likelihood
from hush.processes import GaussianProcess
from hush.schedules import Tabulated
from hush.system import System
from hush.world import World

RECORDS = 256  # of each part that are measured, unless more are asked for
STEPS = 100  # of a chain of tokens, unless more are asked for
BANDS = 8  # rows of the profile
LEARNT = 4096  # records that settle the histogram

SAYS = {
    "bound": "an upper bound by the chain that is walked",
    "continuous": "an upper bound by a chain of infinitely many steps",
    "flow": "by the probability-flow ODE, levels made continuous: an upper bound",
}


@dataclass(frozen=True)
class Bits:
    """The bits of held-out records, beside those of as many training records."""

    name: str
    how: str
    """What kind of number they are, in words."""
    held_out: Estimate
    train: Estimate | None = None
    """None where nobody knows what the model has seen."""
    histogram: Estimate | None = None
    """Of the held-out records by independent pixels, where data have levels."""
    unit: str = "t"
    marks: tuple[float, ...] = ()
    """Where the steps of the profile begin, in a unit: the noise σ/α, or of tokens the time t."""

    @property
    def gap(self) -> tuple[float, float] | None:
        """Held out less training, and its standard error: what was learnt by heart."""
        if self.train is None:
            return None
        error = hypot(self.held_out.error, self.train.error)
        return self.held_out.bits - self.train.bits, error

    def lines(self) -> list[tuple[str, str, str]]:
        """(what, value, how to read it), the rows of a table."""
        part = "records" if self.train is None else "held-out records"
        rows = [
            (
                "bits per dimension",
                str(self.held_out),
                f"{self.name} of {self.held_out.count:,} {part}, {self.how}",
            )
        ]
        if self.train is not None:
            value, error = self.gap
            count = f"{self.train.count:,} records that it has learnt from"
            rows.append(("  training", str(self.train), count))
            rows.append(
                ("  gap", f"{value:.4f} ± {error:.4f}", "what is known by heart; 0 is ideal")
            )
        if self.histogram is not None:
            rows.append(("  histogram", str(self.histogram), "every pixel by itself: beat it"))
        return rows + [(f"  {what}", f"{bits:.4f}", how) for what, bits, how in self.profile()]

    def profile(self) -> list[tuple[str, float, str]]:
        """Where the bits of the held-out records go, in bands of noise from the most to none."""
        found = self.held_out
        if not found.profile:
            return []
        per = -(-len(found.profile) // BANDS)
        ends = [*map(_short, self.marks[::per]), "0"]
        rows = [("prior", found.prior, "what the end of the noise still shows")]
        for band, (high, low) in enumerate(pairwise(ends)):
            spent = sum(bits for _, bits in found.profile[band * per : (band + 1) * per])
            rows.append((f"{self.unit} {high} to {low}", spent, ""))
        return [*rows, ("data", found.data, "from the last state to the data")]


def measured(
    system: System,
    train: Source | None,
    held_out: Source,
    method: Method | None = None,
    steps: int | None = None,
    start: float | None = None,
    draws: int = 8,
    given_class: bool = True,
    count: int = RECORDS,
    seed: int = 0,
    world: World | None = None,
) -> Bits:
    """The bits per dimension of at most `count` records of each part; the arguments are those of
    `likelihood`.

    Without a `method`: numbers are measured by the bound of infinitely many steps, or with `steps`
    by that of the chain of so many; tokens by their chain, of at most 100 steps. Raises `UserError`
    for a system that has no likelihood.
    """
    numbers = isinstance(system.denoiser.process, GaussianProcess)
    if method is None:
        chain = isinstance(system.denoiser.process.schedule, Tabulated)
        method = "bound" if not numbers or (chain and steps) else "continuous"
    if not numbers and steps is None:
        own = getattr(system.denoiser.process.schedule, "steps", STEPS)
        steps = min(STEPS, own)
    if count < 1:
        raise UserError(f"count={count}: expected at least one record to measure.")

    def of(part: Source) -> Estimate:
        how = {"steps": steps, "start": start, "draws": draws, "given_class": given_class}
        return likelihood(system, evenly(part, count), method, seed=seed, world=world, **how)

    found = of(held_out)
    times = torch.tensor([time for time, _ in found.profile], dtype=torch.float64)
    levels = system.denoiser.process.schedule.levels(times) if numbers else ()
    marks = tuple(level.sigma / level.alpha for level in levels) or tuple(times.tolist())
    told = ", told their class" if system.task.classes and given_class else ""
    grey = held_out.levels if train is not None else None
    return Bits(
        system.name,
        SAYS[method] + told,
        found,
        None if train is None else of(train),
        histogram(images(train), images(evenly(held_out, count)), grey) if grey else None,
        "σ/α" if numbers else "t",
        marks,
    )


def _short(mark: float) -> str:
    """Two figures, and a large number as 2e4."""
    return f"{mark:.2g}" if mark < 100.0 else f"{mark:.0e}".replace("e+0", "e")


def evenly(source: Source, count: int) -> Source:
    """At most so many records, spread evenly over a source."""
    if count >= len(source):
        return source
    return Subset(source, [place * len(source) // count for place in range(count)])


def images(source: Source) -> Tensor:
    """At most 4096 pictures."""
    part = evenly(source, LEARNT)
    return part.read(range(len(part)))["image"]
