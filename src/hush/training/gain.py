"""What a run has of compiling its network, measured on its own next batch."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

import torch
from torch import Tensor

from hush.errors import UserError
from hush.training.trainer import Trainer

PAIRS = range(3, 20)  # how often both are timed, in turn
ENOUGH = 3.0  # seconds of timing after which the fewest will do


@dataclass(frozen=True)
class Gain:
    """`spent` seconds until compiled code ran, `anew` unless all of it was found on disk; forward
    and backward of a step take `compiled` seconds in place of `eager`."""

    spent: float
    anew: bool
    eager: float
    compiled: float

    def pays_after(self) -> int | float:
        """The steps that win back what was spent."""
        won = self.eager - self.compiled
        return math.ceil(self.spent / won) if won > 0.0 else math.inf

    def told(self, left: int) -> str:
        """The same in words, for a run that has so many steps `left`."""
        after = self.pays_after()
        how = "Compiled in" if self.anew else "Compiled code found on disk and loaded in"
        next_time = ", kept on disk for the next time" if self.anew else ""
        if after <= left:
            verdict = f"pays after {after:,} of the {left:,} steps to go"
        elif after < math.inf:
            verdict = (
                f"would pay after {after:,} steps, but {left:,} are to go: leave --compile out of "
                "so short a run"
            )
        else:
            verdict = "does not pay: leave --compile out"
        return (
            f"{how} {self.spent:.0f} s{next_time}; forward and backward of a step take "
            f"{_seconds(self.compiled)} in place of {_seconds(self.eager)}: it {verdict}."
        )


def _seconds(value: float) -> str:
    return f"{1e3 * value:.3g} ms" if value < 1.0 else f"{value:.3g} s"


def gain(trainer: Trainer, record: dict[str, Tensor]) -> Gain:
    """Compile what the trainer's next step needs, within `hush.networks.compiled`, and time it with
    and without, in turn. The trainer stays as it is. Raises `UserError` where the network cannot
    be compiled."""
    from torch._dynamo.utils import counters  # only here: seconds

    def work() -> float:
        return _timed(lambda: trainer.rehearse(record), trainer.world.device)

    def eager() -> float:
        with torch.compiler.set_stance("force_eager"):
            return work()

    known = counters["inductor"]["fxgraph_cache_miss"]
    spent = _compiling(work, eager)
    anew = counters["inductor"]["fxgraph_cache_miss"] > known
    eager(), work()  # the first one of a kind is slower
    pairs: list[tuple[float, float]] = []
    begun = time.perf_counter()
    while len(pairs) < PAIRS.start or (
        len(pairs) < PAIRS.stop and time.perf_counter() - begun < ENOUGH
    ):
        pairs.append((eager(), work()))
    before, after = (
        trainer.recipe.accumulate * median(times) for times in zip(*pairs, strict=True)
    )
    return Gain(spent, anew, before, after)


def _compiling(work: Callable[[], float], eager: Callable[[], float]) -> float:
    """What `work` returns the first time, when it compiles; where only `eager` can, why not."""
    try:
        return work()
    except RuntimeError as error:
        eager()  # what fails without compiling, too, is no matter of it
        cause = str(getattr(error, "inner_exception", error))
        why = cause.strip().partition("\n")[0].rstrip(".")
        raise UserError(
            f"The network cannot be compiled here ({why}): mend that, or leave --compile out."
        ) from error


def _timed(work: Callable[[], None], device: torch.device) -> float:
    """The seconds that `work` takes, what it asked of the device included."""
    began = time.perf_counter()
    work()
    if device.type != "cpu":
        torch.accelerator.synchronize(device)
    return time.perf_counter() - began
