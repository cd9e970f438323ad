"""The loss on data that training never saw, noise level by noise level."""

from dataclasses import dataclass
from itertools import chain

import torch
from jaxtyping import Float64
from torch import Tensor

from hush.data import Source
from hush.rng import Streams, derive
from hush.system import System
from hush.tensors import drop
from hush.world import World


@dataclass(frozen=True)
class Losses:
    """The losses `each` (record,) of held-out records, record i seen at times[i mod levels]."""

    times: tuple[float, ...]
    each: Float64[Tensor, " record"]

    def means(self) -> dict[float, float]:
        """The mean loss at each time, {time: loss}."""
        level = torch.arange(len(self.each)) % len(self.times)
        # On the CPU: there the terms of a sum are added in their order, and so always alike.
        sums = torch.zeros(len(self.times), dtype=torch.float64)
        sums.index_add_(0, level, self.each.cpu())
        rows = zip(self.times, sums.tolist(), torch.bincount(level).tolist(), strict=True)
        return {time: total / number for time, total, number in rows}

    def at(self, level: int) -> Float64[Tensor, " share"]:
        """The losses at times[level]."""
        return self.each[level :: len(self.times)].cpu()


def held_out_losses(
    system: System, source: Source, seed: int = 0, levels: int = 8, batch: int = 256
) -> dict[float, float]:
    """The objective's loss at `levels` times spread evenly over the law it trains on: {time: loss}.

    The means of `held_out_each`.
    """
    return held_out_each(system, source, seed, levels, batch).means()


@torch.no_grad()
def held_out_each(
    system: System,
    source: Source,
    seed: int = 0,
    levels: int = 8,
    batch: int = 256,
    world: World | None = None,
) -> Losses:
    """The objective's loss of every record, at `levels` times spread evenly over the law it trains
    on; of a `world` of processes each measures a share, and all return the same.

    Each record is seen at one of the times with noise of its own, the same at every call, so that
    two calls compare weights and nothing else, record by record. A tenth of the conditions is
    hidden, as in training.
    """
    process, objective = system.denoiser.process, system.objective
    device = device_of(system)
    u = (torch.arange(levels, dtype=torch.float64, device=device) + 0.5) / levels
    times = objective.times.quantile(process.schedule, u)
    count = max(len(source), levels)
    world = world or World(device=device)
    each = torch.zeros(count, dtype=torch.float64, device=device)
    system.denoiser.eval()
    turn = world.turn(count)
    for start in turn[::batch]:
        places = torch.arange(start, min(start + batch, turn.stop))
        record = source.read((places % len(source)).tolist())
        record = {key: value.to(device) for key, value in record.items()}
        rng = Streams(derive(seed, "held out"), places.to(device))
        x_0, cond, mask = system.learnt(record, rng.branch("task"))
        cond = drop(cond, rng.uniform() < objective.cond_dropout)
        t = times[places.to(device) % levels]
        loss = objective.at(system.denoiser, x_0, t, rng.next(), cond, mask)
        kept = each[start : start + len(places)]
        kept.copy_(loss[: len(kept)])  # a turn may reach beyond the end
    return Losses(tuple(round(time, 4) for time in times.tolist()), world.summed(each))


def device_of(system: System) -> torch.device:
    """Where the denoiser computes: where its weights are, or what else it keeps."""
    kept = chain(system.denoiser.parameters(), system.denoiser.buffers())
    return next(kept, torch.empty(0)).device
