"""A system that draws from nothing, held against data: all that `hush evaluate` measures of it."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from hush.data import Source, grid
from hush.errors import UserError
from hush.evaluation.baselines import quantise
from hush.evaluation.beliefs import believed
from hush.evaluation.bits import LEARNT, RECORDS, Bits, evenly, measured
from hush.evaluation.held_out import device_of, held_out_each
from hush.evaluation.judgement import judge
from hush.evaluation.likelihood import Method
from hush.evaluation.memorisation import FEWEST, Memorisation, among, memorisation, nearest_of
from hush.evaluation.page import About
from hush.evaluation.report import Pictures, Report
from hush.evaluation.spaces import Features, FeatureSpace
from hush.evaluation.yardstick import yardsticks
from hush.processes import Encoded, GaussianProcess
from hush.rng import derive
from hush.samplers import default
from hush.system import System
from hush.world import World

EVALUATIONS = 20  # of the network for each sample, unless asked otherwise
SHOWN, COLUMNS, PAIRS = 60, 10, 12  # pictures

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Asked:
    """What is measured, and how."""

    samples: int = 512
    """How many are drawn; 0 draws none."""
    records: int = RECORDS
    """Whose bits are measured, of each part at most."""
    method: Method | None = None
    steps: int | None = None
    start: float | None = None
    draws: int = 8
    """These four are of `measured`."""
    features: Features | FeatureSpace = "auto"
    given_class: bool = True
    seed: int = 0


def examine(
    system: System,
    train: Source | None,
    held_out: Source,
    asked: Asked = Asked(),
    about: About | None = None,
    tell: Tell = lambda said: None,
    world: World | None = None,
) -> Report:
    """Measure a system that has learnt from `train`, where anybody knows it, by `held_out`.

    Samples are drawn by the system's own sampler and grid, of the classes that the training records
    are of, in their proportions. Of a `world` of processes all measure the bits, and the first the
    rest. Raises `UserError` for a system that makes its answers from something given.
    """
    if system.task.asks or isinstance(system.denoiser.process, Encoded):
        raise UserError(f"{system.name} draws nothing by itself, so there are no samples to judge.")
    world = world or World(device=device_of(system))
    missing: list[str] = []
    tell("bits per dimension")
    report = Report(
        about or About(system.name, system.cite, seed=asked.seed),
        bits=_bits(system, train, held_out, asked, world, missing),
    )
    if not world.main:
        return report
    tell("losses and beliefs")
    report = replace(
        report,
        losses=held_out_each(system, held_out, asked.seed),
        yardsticks=yardsticks(system, train, held_out, asked.seed) if train else None,
        beliefs=believed(system, held_out, given_class=asked.given_class, seed=asked.seed),
    )
    if asked.samples and train is not None:
        report = replace(report, **_drawn(system, train, held_out, asked, missing, tell))
    elif asked.samples:
        missing.append("What it learnt from is not at hand, and samples are judged beside that.")
    return replace(report, missing=tuple(missing))


def quick(system: System, evaluations: int = EVALUATIONS) -> System:
    """The system with the sampler and grid that hush takes for so many evaluations, where it draws
    numbers; a walk of tokens stays as it is."""
    if not isinstance(system.denoiser.process, GaussianProcess):
        return system
    sampler, steps = default(evaluations)
    return replace(system, sampler=sampler, grid=steps)


def _bits(
    system: System,
    train: Source | None,
    held_out: Source,
    asked: Asked,
    world: World,
    missing: list[str],
) -> Bits | None:
    how = {
        key: getattr(asked, key)
        for key in ("method", "steps", "start", "draws", "given_class", "seed")
    }
    try:
        return measured(system, train, held_out, count=asked.records, world=world, **how)
    except UserError as error:
        if asked.method is not None:
            raise
        missing.append(str(error))
        return None


def _drawn(
    system: System, train: Source, held_out: Source, asked: Asked, missing: list[str], tell: Tell
) -> dict[str, Any]:
    """The fields of a report that are of samples."""
    key, parts = system.task.field, (evenly(part, LEARNT) for part in (train, held_out))
    learnt, unseen = (part.read(range(len(part))) for part in parts)
    labels = None
    if system.task.classes:
        places = torch.arange(asked.samples) * len(learnt["label"]) // asked.samples
        labels = learnt["label"][places]
    tell(f"{asked.samples:,} samples")
    samples = system.sample(asked.samples, labels, seed=derive(asked.seed, "judged")).cpu()
    samples = quantise(samples, train.levels) if train.levels else samples
    tell("distances")
    near = nearest_of(samples, train, key)
    memorised = _memorised(near[0], unseen[key], learnt[key], train, key)
    judged = None
    if memorised is None or len(unseen[key]) < FEWEST:
        missing.append(
            f"Distances need {FEWEST} records or more of each kind: {len(unseen[key]):,} are held "
            f"out, {len(learnt[key]):,} learnt from, {len(samples):,} drawn."
        )
    else:
        both = (part for record in (learnt, unseen) for part in (record[key], record.get("label")))
        how = {"features": asked.features, "seed": asked.seed, "memorised": memorised}
        judged = judge(samples, labels, *both, len(system.task.classes), train.levels, **how)
    shown = _pictures(system, (samples, labels), unseen, near, train)
    return {"judgement": judged, "memorisation": memorised, "pictures": shown}


def _memorised(
    apart: Tensor, unseen: Tensor, learnt: Tensor, train: Source, key: str
) -> Memorisation | None:
    """Samples beside held-out records or, where these are few, beside training records among
    themselves; None where those are few, too."""
    if len(apart) < FEWEST or len(learnt) < FEWEST:
        return None
    if len(unseen) >= FEWEST:
        return memorisation(apart, nearest_of(unseen, train, key)[0])
    return memorisation(apart, among(learnt), "training records to each other")


def _pictures(
    system: System,
    samples: tuple[Tensor, Tensor | None],
    unseen: dict[str, Tensor],
    near: tuple[Tensor, Tensor],
    train: Source,
) -> Pictures:
    """Some samples, held-out records of their classes, and the samples nearest to training."""
    (drawn, labels), key, task = samples, system.task.field, system.task
    order = torch.arange(len(drawn)) if labels is None else labels.argsort(stable=True)
    flat = len(task.shape) == 2
    count = min(task.shows if flat else SHOWN, len(drawn), len(unseen[key]))
    chosen = order[torch.arange(count) * len(order) // count]
    real = torch.arange(len(unseen[key]))[:: max(1, len(unseen[key]) // count)][:count]
    if labels is not None:
        real = _alike(labels[chosen], unseen["label"])
    shown = drawn[chosen], unseen[key][real]
    if flat:
        return Pictures(*map(task.picture, shown))
    closest = near[0].argsort()[:PAIRS]
    copied = train.read(near[1][closest].tolist())[key].cpu()
    pairs = grid(torch.cat((drawn[closest], copied)), len(closest))
    return Pictures(*(grid(part, COLUMNS) for part in shown), pairs)


def _alike(wanted: Tensor, labels: Tensor) -> Tensor:
    """The places of records of the wanted classes, each once before any comes twice; of a class
    that has none, any record."""
    taken: dict[int, int] = {}
    places = []
    for label in wanted.tolist():
        of_class = (labels == label).nonzero().flatten()
        number = taken.get(label, 0)
        taken[label] = number + 1
        places.append(
            int(of_class[number % len(of_class)]) if len(of_class) else len(places) % len(labels)
        )
    return torch.tensor(places)
