"""How probable a model finds data: bits per dimension, with a standard error, whatever the model.

codec ── x_0 ──┬─ "bound"       the chain that is walked, decoded to the levels of the data
               ├─ "continuous"  the chain of infinitely many steps, likewise
               └─ "flow"        the probability-flow ODE, the data made continuous first
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from hush.codecs import Affine
from hush.data import Source
from hush.errors import UserError
from hush.evaluation.held_out import device_of
from hush.likelihoods import Binned, Density, Flow, Uniform, bound, continuous
from hush.likelihoods.decoders import Decoder
from hush.processes import Encoded, GaussianProcess
from hush.rng import Streams, derive
from hush.samplers import grids
from hush.schedules import Level, Tabulated
from hush.system import System
from hush.tensors import Condition
from hush.world import World

Method = Literal["bound", "continuous", "flow"]


@dataclass(frozen=True)
class Estimate:
    """A mean over data with its standard error, in bits per dimension."""

    bits: float
    error: float
    count: int
    prior: float = 0.0
    """What the noise at the end of the chain still shows of the data."""
    profile: tuple[tuple[float, float], ...] = ()
    """(time, bits spent by the step that begins there), from the noise down."""
    data: float = 0.0
    """What the data cost at the end of the walk."""

    @classmethod
    def of(cls, bits: Tensor, **terms: Any) -> "Estimate":
        """From the bits per dimension of each record; the error of a single one is not known."""
        error = (bits.var() / len(bits)).sqrt().item() if len(bits) > 1 else math.inf
        return cls(bits.mean().item(), error, len(bits), **terms)

    def __str__(self) -> str:
        return f"{self.bits:.4f} ± {self.error:.4f}"


@torch.no_grad()
def likelihood(
    system: System,
    source: Source,
    method: Method = "bound",
    steps: int | None = None,
    start: float | None = None,
    draws: int = 16,
    given_class: bool = True,
    decoder: Decoder | None = None,
    seed: int = 0,
    batch: int = 256,
    world: World | None = None,
) -> Estimate:
    """Bits per dimension of the data under a system: -log2 p(x)/D, or an upper bound on it.

    bound        on a grid of `steps`, by default every step of the chain
    continuous   from the level σ/α = `start` on (an eighth of the levels' spacing), from `draws`
                 noised states per record
    flow         from σ/α = `start` on, with uniform dequantisation, which makes it a bound, too

    The bounds are of the model that is sampled from, its beliefs held in range as there; the flow
    is the network's own.
    Data of levels have a probability; of continuous data it is the density in their own units, and
    may be negative. `given_class` tells the model each record's class, as in sampling. Of a `world`
    of processes each measures a share of the records; all return the same.

    Raises:
        UserError: the method does not fit the system.
    """
    _check(system, method)
    world, decoder = world or World(device=device_of(system)), decoder or _decoder(system)
    denoiser = system.threshold(system.denoiser) if system.threshold else system.denoiser
    levels: Sequence[Level] = _levels(system, steps) if method == "bound" else ()
    nats = torch.zeros(len(source), 3, dtype=torch.float64, device=world.device)
    spent = nats.new_zeros(0)
    mine = world.share(len(source))
    for places, x_0, cond, rng in _batches(system, source, mine, given_class, seed, batch):
        part = nats[places.start : places.stop]
        if method == "flow":
            part[:, 0] = _flow(system, x_0, cond, rng, start)
            continue
        if method == "bound":
            terms = bound(denoiser, x_0, levels, rng, cond, decoder)
        else:
            at = system.denoiser.process.schedule.at_ratio(_start(system, start)).time
            terms = continuous(denoiser, x_0, rng, cond, decoder, at, draws)
            levels = terms.levels
        part[:] = torch.stack((terms.total, terms.prior, terms.data), 1)
        spent = terms.steps.double().sum(1) + (spent if len(spent) else 0.0)
    return _estimate(system, nats, spent, levels, world)


def _check(system: System, method: Method) -> None:
    process = system.denoiser.process
    if isinstance(process, Encoded) or not system.codec.invertible:
        raise UserError(
            f"{system.name} loses some of the data on the way to its latents, so it has no "
            "likelihood of theirs: measure what it draws or repeats."
        )
    if method == "flow" and not isinstance(process, GaussianProcess):
        raise UserError("Tokens have no probability flow: use the bound.")
    numbers, chain = isinstance(process, GaussianProcess), isinstance(process.schedule, Tabulated)
    if method == "bound" and numbers and not chain:
        raise UserError(f"{system.name} has no chain of steps: use method 'continuous' or 'flow'.")


def _decoder(system: System) -> Decoder:
    """The one that a system is trained with, or the bins of the data's levels."""
    codec, own = system.codec, getattr(system.objective, "decoder", None)
    if own is not None:
        return own
    return Binned(*codec.binned()) if isinstance(codec, Affine) and codec.levels else Density()


def _levels(system: System, steps: int | None) -> list:
    schedule = system.denoiser.process.schedule
    if isinstance(schedule, Tabulated):
        return grids.Chain(steps or schedule.steps)(schedule)
    return grids.Uniform(steps or 1000)(schedule)


def _start(system: System, start: float | None) -> float:
    """σ/α at which a bound or a flow begins: where noise is far below the spacing of the data, and
    in a chain not before its first step, for which alone the network was trained."""
    if start is not None:
        return start
    codec, schedule = system.codec, system.denoiser.process.schedule
    if (own := getattr(schedule, "start", None)) is not None:
        return math.exp(schedule.level(own).log_ratio)
    levels = isinstance(codec, Affine) and bool(codec.levels)
    ratio = codec.binned()[0] / 8.0 if levels else 1e-3
    if isinstance(schedule, Tabulated):
        ratio = max(ratio, math.exp(schedule.level(1.0 / schedule.steps).log_ratio))
    return ratio


def _flow(
    system: System, x_0: Tensor, cond: Condition | None, rng: Streams, start: float | None
) -> Tensor:
    flow = Flow(start=_start(system, start))
    if not system.codec.levels:
        return -flow(system.denoiser, x_0, rng, cond)
    x, log_weight = Uniform()(x_0, rng.next(), system.codec.binned()[0])
    return -(flow(system.denoiser, x, rng, cond) + log_weight)


def _batches(
    system: System, source: Source, share: range, given_class: bool, seed: int, batch: int
) -> Iterator[tuple[range, Tensor, Condition | None, Streams]]:
    """The places of some records of the `share`, their x_0, conditions and streams, each its own
    whatever the batch."""
    device = device_of(system)
    system.denoiser.eval()
    for first in range(share.start, share.stop, batch):
        places = range(first, min(first + batch, share.stop))
        record = {key: value.to(device) for key, value in source.read(list(places)).items()}
        rng = Streams.of(derive(seed, "likelihood"), len(places), first, device)
        x_0, cond, _ = system.learnt(record, rng.branch("task"))
        yield places, x_0, cond if given_class else None, rng


def _estimate(
    system: System, nats: Tensor, spent: Tensor, levels: Sequence[Level], world: World
) -> Estimate:
    """From (bound, prior, data) of each record and the sums that each step spent; what another
    process has measured is 0 in them."""
    event = tuple(system.task.shape)
    scale = math.prod(event) * math.log(2.0)
    steps = world.most(len(spent))
    whole = world.summed(spent if len(spent) else nats.new_zeros(steps)) / (len(nats) * scale)
    nats = world.summed(nats).cpu()
    _, prior, data = (nats.mean(0) / scale).tolist()
    if isinstance(system.codec, Affine) and not system.codec.levels:
        nats = nats - system.codec.log_det(event)
    profile = tuple(zip((level.time for level in levels), whole.tolist(), strict=False))
    return Estimate.of(nats[:, 0] / scale, prior=prior, profile=profile, data=data)


def histogram(train: Tensor, test: Tensor, levels: int) -> Estimate:
    """What independent pixels cost, each with the histogram of its levels over the training data,
    one count added to each level: what every model of levels has to beat."""
    places = [(images.flatten(1) * (levels - 1)).round().long() for images in (train, test)]
    counts = torch.nn.functional.one_hot(places[0], levels).sum(0).double() + 1.0
    log_prob = (counts / counts.sum(-1, keepdim=True)).log2()
    bits = -log_prob.unsqueeze(0).expand(len(test), -1, -1).gather(-1, places[1].unsqueeze(-1))
    return Estimate.of(bits.squeeze(-1).mean(1))
