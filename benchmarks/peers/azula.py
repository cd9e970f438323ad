"""Every deterministic sampler of azula on every schedule it has.

A denoiser of azula may be walked along any schedule, so each problem is walked along all of them,
scaled to the σ/α that the problem ends at or, where that is above it, to one of `LOUDEST`. Azula
steps evenly in time down to σ_min, which is its user's choice, and gives back the state there. Its
Euler and Ito (η = 0) are its DDIM.
"""

import math
from collections.abc import Callable, Iterator
from functools import partial
from itertools import product

import torch
from torch import Tensor

from peers.flows import PROBLEMS, Flows, Walk
from peers.settings import Outcome, Setting, load

sample, noise, denoise = load(
    "azula",
    "sample",
    "noise",
    "denoise",
    missing=("einops", "einops.layers", "einops.layers.torch"),
)

LOUDEST = (1000.0, 30.0, 10.0, 5.0)
SIGMA_MIN = (1e-3, 0.01, 0.03, 0.1, 0.2)

SCHEDULES: dict[str, Callable] = {
    "VE": lambda low, top: noise.VESchedule(low, top),
    "VP": lambda low, top: noise.VPSchedule(1.0 / math.hypot(1.0, top), low),
    "Cosine": lambda low, top: noise.CosineSchedule(1.0 / math.hypot(1.0, top), low),
    "Rectified": lambda low, top: noise.RectifiedSchedule(1.0 / top, low),
    "Decay": lambda low, top: noise.DecaySchedule(1.0 / top, low),
    "Decay gamma=0.01": lambda low, top: noise.DecaySchedule(1.0 / top, low, 0.01),
}
OWN = {"VP-linear": "VP", "cosine": "Cosine", "EDM": "VE", "rectified flow": "Rectified"}


class Exact(denoise.Denoiser):
    """The belief that is never wrong."""

    def __init__(self, schedule: noise.Schedule, run: Walk) -> None:
        super().__init__()
        self.schedule, self.run = schedule, run

    def forward(self, x_t: Tensor, t: Tensor) -> denoise.DiracPosterior:
        alpha, sigma = (scale.item() for scale in self.schedule(t))
        return denoise.DiracPosterior(self.run.mean(x_t, alpha, sigma))


def _samplers() -> dict[str, tuple[Callable, Callable[[int], int]]]:
    """Each sampler, and how many steps so many evaluations are."""
    one: Callable[[int], int] = lambda evaluations: evaluations  # noqa: E731
    names: dict[str, tuple[Callable, Callable[[int], int]]] = {
        "DDIM": (sample.DDIMSampler, one),
        "Heun": (sample.HeunSampler, lambda evaluations: evaluations // 2),
    }
    for name, order in product(("zAB", "vAB", "zEAB", "xEAB", "REAB"), (2, 3, 4)):
        sampler = partial(getattr(sample, f"{name}Sampler"), order=order)
        names[f"{name}, order {order}"] = (sampler, one)
    return names


def _walk(
    problem: str,
    sampler: Callable,
    count: Callable[[int], int],
    schedule: noise.Schedule,
    flows: Flows,
    evaluations: int,
) -> Outcome:
    end = PROBLEMS[problem].level(1.0)
    run = Walk(flows, end.alpha, end.sigma)
    walker = sampler(
        Exact(schedule, run), steps=count(evaluations), silent=True, dtype=torch.float64
    )
    alpha, sigma = (scale.item() for scale in schedule(torch.ones((), dtype=torch.float64)))
    return run, walker(run.unit * math.hypot(alpha, sigma))


def settings(problem: str) -> Iterator[Setting]:
    """All of them, for one problem."""
    end = PROBLEMS[problem].level(1.0)
    ratio = end.sigma / end.alpha if end.alpha > 0.0 else math.inf
    tops = [top for top in (ratio, *LOUDEST) if top <= ratio and top < math.inf]
    spans = list(product(SIGMA_MIN, tops))
    for (method, (sampler, count)), (name, make) in product(_samplers().items(), SCHEDULES.items()):
        for low, top in spans:
            yield Setting(
                "azula",
                method,
                f"{name} {low:g}..{top:g}",
                partial(_walk, problem, sampler, count, make(low, top)),
                method == "DDIM" and name == OWN[problem] and (low, top) == (1e-3, spans[0][1]),
            )
