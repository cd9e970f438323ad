"""The loss on data that training never saw, noise level by noise level."""

import torch

from hush.data import Source
from hush.rng import Streams, derive
from hush.system import System
from hush.tensors import drop


@torch.no_grad()
def held_out_losses(
    system: System, source: Source, seed: int = 0, levels: int = 8, batch: int = 256
) -> dict[float, float]:
    """The objective's loss at `levels` times spread evenly over the law it trains on: {time: loss}.

    Each record is seen at one of the times with noise of its own, the same at every call, so that
    two calls compare weights and nothing else. A tenth of the conditions is hidden, as in training.
    """
    process, objective = system.denoiser.process, system.objective
    device = next(system.denoiser.parameters()).device
    u = (torch.arange(levels, dtype=torch.float64, device=device) + 0.5) / levels
    times = objective.times.quantile(process.schedule, u)
    count = max(len(source), levels)
    sums = torch.zeros(levels, dtype=torch.float64, device=device)
    system.denoiser.eval()
    for start in range(0, count, batch):
        places = torch.arange(start, min(start + batch, count))
        record = source.read((places % len(source)).tolist())
        record = {key: value.to(device) for key, value in record.items()}
        data, cond, mask = system.task.example(record)
        rng = Streams(derive(seed, "held out"), places.to(device))
        cond = drop(cond, rng.uniform() < objective.cond_dropout)
        level = places.to(device) % levels
        loss = objective.at(
            system.denoiser, system.codec.encode(data), times[level], rng.next(), cond, mask
        )
        sums.index_add_(0, level, loss.double())
    seen = torch.bincount(torch.arange(count) % levels).tolist()
    return {
        round(time, 4): total / number
        for time, total, number in zip(times.tolist(), sums.tolist(), seen, strict=True)
    }
