"""Every deterministic sampler of k-diffusion on every grid it makes.

It walks x/α, from σ_max = σ/α of the schedule's end or, where that is above it, from one of
`LOUDEST`: its users choose σ_max. Its samplers drawn at η = 0 are deterministic too.
Left out: `sample_dpm_adaptive`, whose cost nobody chooses, and what is another sampler at η = 0
(`dpmpp_sde` is dpmpp_2s, `dpmpp_2m_sde` with the midpoint is dpmpp_2m).
"""

import math
from collections.abc import Callable, Iterator
from functools import partial
from itertools import product

import torch
from torch import Tensor

from hush.schedules import Level
from peers.flows import PROBLEMS, Flows, Walk
from peers.settings import Outcome, Setting, load

sampling, external = load(
    "k_diffusion",
    "sampling",
    "external",
    missing=("torchvision", "torchvision.transforms", "torchdiffeq", "torchsde"),
)

LOUDEST = (1000.0, 100.0, 30.0)
SIGMA_MIN = (0.002, 0.01, 0.03, 0.1)
LOWEST = {"VP-linear": 0.01, "cosine": 0.01, "EDM": 0.002, "rectified flow": 0.01}  # by default

Sample = Callable[[Callable, Tensor, Tensor], Tensor]


def _silent(_sigma: Tensor, _next: Tensor) -> float:
    return 0.0


def _fast(model: Callable, x: Tensor, sigmas: Tensor, evaluations: int) -> Tensor:
    low, high = sigmas[-2].item(), sigmas[0].item()
    return sampling.sample_dpm_fast(model, x, low, high, evaluations, disable=True)


def _samplers() -> dict[str, tuple[Sample, Callable[[int], int]]]:
    """Each sampler, and how many sigmas it can be given for so many evaluations."""
    one: Callable[[int], int] = lambda evaluations: evaluations  # noqa: E731
    two: Callable[[int], int] = lambda evaluations: (evaluations + 1) // 2  # noqa: E731
    quiet = {"eta": 0.0, "noise_sampler": _silent, "disable": True}
    names: dict[str, tuple[Sample, Callable[[int], int]]] = {
        "euler": (partial(sampling.sample_euler, disable=True), one),
        "heun": (partial(sampling.sample_heun, disable=True), two),
        "dpm_2": (partial(sampling.sample_dpm_2, disable=True), two),
        "dpmpp_2s": (partial(sampling.sample_dpmpp_2s_ancestral, **quiet), two),
        "dpmpp_2m": (partial(sampling.sample_dpmpp_2m, disable=True), one),
        "dpmpp_2m_sde, heun": (
            partial(sampling.sample_dpmpp_2m_sde, **quiet, solver_type="heun"),
            one,
        ),
        "dpmpp_3m_sde": (partial(sampling.sample_dpmpp_3m_sde, **quiet), one),
    }
    for order in (2, 3, 4):
        names[f"lms, order {order}"] = (
            partial(sampling.sample_lms, disable=True, order=order),
            one,
        )
    return names


def _tops(problem: str) -> list[float]:
    end = PROBLEMS[problem].level(1.0)
    ratio = end.sigma / end.alpha if end.alpha > 0.0 else math.inf
    return [top for top in (ratio, *LOUDEST) if top <= ratio and top < math.inf]


def _grids(problem: str) -> Iterator[tuple[str, Callable[[int], Tensor]]]:
    for low, top in product(SIGMA_MIN, _tops(problem)):
        span = {"sigma_min": low, "sigma_max": top}
        for rho in (3.0, 5.0, 7.0):
            grid = partial(sampling.get_sigmas_karras, rho=rho, **span)
            yield f"karras rho={rho:g} {low:g}..{top:g}", grid
        for rho in (0.7, 1.4):
            grid = partial(sampling.get_sigmas_polyexponential, rho=rho, **span)
            yield f"polyexponential rho={rho:g} {low:g}..{top:g}", grid
        yield f"exponential {low:g}..{top:g}", partial(sampling.get_sigmas_exponential, **span)
    if problem == "VP-linear":
        yield "vp", sampling.get_sigmas_vp
    if problem in ("VP-linear", "cosine"):
        times = torch.arange(1, 1001, dtype=torch.float64) / 1000
        ratios = (-0.5 * PROBLEMS[problem].log_snr(times)).exp()
        yield "discrete", external.DiscreteSchedule(ratios, quantize=False).get_sigmas


def _walk(
    problem: str,
    sample: Sample,
    count: Callable[[int], int],
    grid: Callable[[int], Tensor],
    flows: Flows,
    evaluations: int,
) -> Outcome:
    end: Level = PROBLEMS[problem].level(1.0)
    run = Walk(flows, end.alpha, end.sigma)
    sigmas = grid(count(evaluations)).double()
    if isinstance(sample, partial) and sample.func is _fast:
        sample = partial(sample, evaluations=evaluations)
    x = run.unit * math.hypot(1.0, sigmas[0].item())
    return run, sample(lambda x, sigma: run.mean(x, 1.0, sigma[0].item()), x, sigmas)


def settings(problem: str) -> Iterator[Setting]:
    """All of them, for one problem."""
    usual = f"karras rho=7 {LOWEST[problem]:g}..{_tops(problem)[0]:g}"
    samplers = _samplers() | {"dpm_fast": (partial(_fast), lambda evaluations: evaluations)}
    for (method, (sample, count)), (name, grid) in product(samplers.items(), _grids(problem)):
        plain = method == "dpmpp_2m" and name == usual
        walk = partial(_walk, problem, sample, count, grid)
        yield Setting("k-diffusion", method, name, walk, plain)
