"""What it costs to train a system here: real steps, measured on real records."""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from hush.data import Source, batches, split
from hush.data.source import Subset
from hush.evaluation.held_out import held_out_each
from hush.networks import lowered
from hush.processes import Encoded
from hush.recipe import Recipe
from hush.rng import Streams
from hush.system import System
from hush.training.measuring import fit
from hush.training.shown import shown
from hush.training.trainer import Trainer
from hush.world import World

COPIES = 5  # of every weight: itself, its gradient, its average and two moments of AdamW
BESIDE = 1.4  # what is alive of a step at once, over what its graph keeps, at most
SHARE = 0.7  # of the free memory that a step may take
TIMED, ENOUGH = 3, 2.0  # steps at least, and seconds
PROBES = (2, 4)  # records of the steps whose memory is measured
BUSY = 0.6  # share of the processor's time below which others are said to have the rest
FITTED = 64  # records
EXAMINED = 64  # records whose loss is timed


@dataclass(frozen=True)
class Footprint:
    """The memory of a training step: so many bytes, and so many more for each sample at a time."""

    weights: int
    fixed: float
    each: float

    def bytes(self, part: int) -> float:
        """Of a step that computes `part` samples at a time."""
        return self.fixed + part * self.each

    def part(self, batch: int, memory: float) -> int | None:
        """How many samples at a time: the largest equal part of `batch` whose step takes no more
        than `SHARE` of `memory`; None where a single sample is too much."""
        parts = (batch // n for n in range(1, batch + 1) if batch % n == 0)
        return next((part for part in parts if self.bytes(part) <= SHARE * memory), None)


@dataclass(frozen=True)
class Pace:
    """The seconds of a training step, and of an examination: held-out losses and samples."""

    step: float
    examination: float
    share: float = 1.0
    """How much of its time the processor worked on them; the rest others had."""

    @property
    def busy(self) -> bool:
        """Whether others keep the machine from the work."""
        return self.share < BUSY

    def hours(self, recipe: Recipe) -> float:
        """Of a whole run."""
        examinations = math.ceil(recipe.steps / recipe.sample_every)
        return (recipe.steps * self.step + examinations * self.examination) / 3600.0


def footprint(system: System, source: Source, recipe: Recipe) -> Footprint:
    """The memory of a system's training step, from two small ones."""
    probes = []
    for batch in PROBES:
        probe = replace(recipe, batch=batch, accumulate=1)
        with _learning(system, source, probe) as (trainer, record):
            probes.append(_kept(trainer, record))
    weights = [p for p in system.denoiser.parameters() if p.requires_grad]
    each = max(0.0, (probes[1] - probes[0]) / (PROBES[1] - PROBES[0]))
    beside = max(0.0, probes[0] - PROBES[0] * each)
    copies = COPIES * sum(p.numel() * p.element_size() for p in weights)
    return Footprint(sum(p.numel() for p in weights), copies + beside, each)


def pace(system: System, source: Source, recipe: Recipe) -> Pace:
    """The seconds of steps of a system as a run takes them, the reading of records included: the
    median of `TIMED` or more after the first, and of what comes every so often between them."""
    with _learning(system, source, recipe) as (trainer, first):
        _timed(trainer.learn, first, trainer.world.device)
        stream = batches(source, recipe.batch, recipe.seed, recipe.batch, recipe.workers)
        spent: list[float] = []
        worked = time.process_time()
        with closing(stream):
            while len(spent) < TIMED or sum(spent) < ENOUGH:
                spent.append(
                    _timed(lambda _: trainer.learn(next(stream)), None, trainer.world.device)
                )
        worked = time.process_time() - worked
        step, share = float(torch.tensor(spent).median()), 1.0
        if trainer.world.device.type == "cpu":
            share = min(1.0, worked / sum(spent) / torch.get_num_threads())
        return Pace(step, _examination(trainer, source, recipe), share)


def _examination(trainer: Trainer, source: Source, recipe: Recipe) -> float:
    """The seconds of an examination, from how long a held-out record and a sample take."""
    held = split(source, recipe.held_out, seed=recipe.seed)[1]
    # As many as are drawn at a time: of the few held out each would seem to take far longer.
    some = Subset(source, range(min(EXAMINED, len(source))))
    system = replace(trainer.system, denoiser=trainer.ema.module)

    def work(_: None) -> None:
        held_out_each(system, some, recipe.seed)

    work(None)
    each = _timed(work, None, trainer.world.device) / len(some)
    return each * len(held) + _drawing(system, source, each, trainer.world.device)


def _drawing(system: System, source: Source, each: float, device: torch.device) -> float:
    """The seconds of the samples of one examination, from a step of theirs; of an autoencoder,
    which repeats what it is shown, from the seconds of `each` held-out record."""
    task = system.task
    if isinstance(system.denoiser.process, Encoded):
        return 2 * task.shows * each
    cond, count = None, task.shows
    if task.asks:
        asked = min(task.shows, len(source))
        record = {key: part.to(device) for key, part in source.read(range(asked)).items()}
        cond = task.example(record, Streams.of(0, asked, device=device)).cond
        count = task.answers * asked
    sampler, steps = shown(system)
    states = system.walk(count, cond, sampler, steps)
    next(states)  # the noise, which costs nothing
    return steps * _timed(lambda _: next(states), None, device)


@contextmanager
def _learning(
    system: System, source: Source, recipe: Recipe
) -> Iterator[tuple[Trainer, dict[str, Tensor]]]:
    """A trainer of the system as a run begins it, and its first batch."""
    world = World()
    with lowered(system.denoiser.network, recipe.precision, world.device):
        trainer = Trainer(system, recipe, world)
        few = Subset(source, range(len(source))[:: -(-len(source) // FITTED)])
        fit(trainer.codec, system, few, recipe.seed)  # how well matters nothing to the cost
        yield trainer, next(batches(source, recipe.batch, recipe.seed))


def _kept(trainer: Trainer, record: dict[str, Tensor]) -> float:
    """The bytes of a step beside the weights and their copies: of an accelerator the most that was
    allocated, of a processor what the graph keeps for the way back, and what that leaves out."""
    module = torch.get_device_module(trainer.world.device)
    if hasattr(module, "reset_peak_memory_stats"):
        trainer.rehearse(record)
        module.reset_peak_memory_stats()
        before = module.memory_allocated()
        trainer.rehearse(record)
        return float(module.max_memory_allocated() - before)
    own = {p.untyped_storage().data_ptr() for p in trainer.denoiser.parameters()}
    held: dict[int, int] = {}

    def note(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            held[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        trainer.rehearse(record)
    return BESIDE * sum(held.values())


def _timed(work: Callable[[Any], object], given: Any, device: torch.device) -> float:
    began = time.perf_counter()
    work(given)
    if device.type != "cpu":
        torch.accelerator.synchronize(device)
    return time.perf_counter() - began
