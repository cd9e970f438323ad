"""How a scheduler of diffusers is walked with an exact belief.

The chain schedulers walk DDPM's linear chain, the cosine chain `squaredcos_cap_v2` and, for EDM's
noise levels, a chain of `trained_betas` whose 1000 levels are Karras's from 0.002 to 80. The flow
comes from the end of that chain as the library holds it (float32). A network would be told the
timestep, often rounded; here the belief is that of the very σ the scheduler holds, so nothing is
lost to rounding. Clipping and thresholding are off.
"""

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import diffusers
import torch
from torch import Tensor

from peers.flows import Flows, Walk
from peers.settings import Outcome

diffusers.utils.logging.set_verbosity_error()
warnings.filterwarnings("ignore", category=FutureWarning, module="diffusers")

Options = dict[str, object]


@cache
def chain(problem: str) -> Options:
    if problem == "cosine":
        return {"beta_schedule": "squaredcos_cap_v2"}
    if problem == "EDM":
        roots = torch.linspace(0.002 ** (1 / 7), 80.0 ** (1 / 7), 1000, dtype=torch.float64)
        alpha_bar = 1.0 / (1.0 + roots**14)
        before = torch.cat((torch.ones(1, dtype=torch.float64), alpha_bar[:-1]))
        return {"trained_betas": (1.0 - alpha_bar / before).tolist()}
    return {"beta_start": 1e-4, "beta_end": 0.02, "beta_schedule": "linear"}


@dataclass(frozen=True)
class Kind:
    """How a family of schedulers sees the state: which level its call number i is at, how its state
    is scaled there, and what it wants the network to say."""

    level: Callable[[object, int, Tensor], tuple[float, float]]
    says: str = "noise"
    scaled: bool = False  # the state is x/α, and the network is fed x/√(α² + σ²)


def _preserving(ratio: float) -> tuple[float, float]:
    return 1.0 / math.hypot(1.0, ratio), ratio / math.hypot(1.0, ratio)


def _by_sigma(scheduler: object, i: int, _t: Tensor) -> tuple[float, float]:
    second = not getattr(scheduler, "state_in_first_order", True)
    if second and hasattr(scheduler, "sigmas_interpol"):
        return _preserving(scheduler.sigmas_interpol[i].item())
    return _preserving(scheduler.sigmas[i].item())


def _by_step(scheduler: object, _i: int, t: Tensor) -> tuple[float, float]:
    return _preserving((1.0 / scheduler.alphas_cumprod[t].double().item() - 1.0) ** 0.5)


def _by_angle(scheduler: object, i: int, _t: Tensor) -> tuple[float, float]:
    return scheduler.alphas[i].item(), scheduler.betas[i].item()


def _exploding(scheduler: object, i: int, _t: Tensor) -> tuple[float, float]:
    return 1.0, scheduler.sigmas[i].item()


def _straight(scheduler: object, i: int, _t: Tensor) -> tuple[float, float]:
    return 1.0 - scheduler.sigmas[i].item(), scheduler.sigmas[i].item()


SIGMA, STEP, SCALED = Kind(_by_sigma), Kind(_by_step), Kind(_by_sigma, scaled=True)
ANGLE, EDM, FLOW = Kind(_by_angle, "v"), Kind(_exploding, "edm"), Kind(_straight, "velocity")


def _answer(kind: Kind, scheduler: object, run: Walk, x: Tensor, level: tuple) -> Tensor:
    alpha, sigma = level
    mean = run.mean(x, alpha, sigma)
    if kind.says == "edm":
        width = scheduler.config.sigma_data
        total = math.hypot(sigma, width)
        return (mean - (width / total) ** 2 * x) * total / (sigma * width)
    if kind.says == "velocity":
        return (x - mean) / sigma
    noise = (x - alpha * mean) / sigma
    return alpha * noise - sigma * mean if kind.says == "v" else noise


def _end(kind: Kind, scheduler: object) -> tuple[float, float]:
    """The noisy end of the scheduler's own schedule."""
    if kind is ANGLE or kind is FLOW:
        return 0.0, 1.0
    if kind is EDM:
        return 1.0, float(scheduler.config.sigma_max)
    return _preserving((1.0 / scheduler.alphas_cumprod[-1].double().item() - 1.0) ** 0.5)


def walked(
    name: str,
    options: Options,
    kind: Kind,
    count: Callable[[int], int],
    spends: Options,
    flows: Flows,
    evaluations: int,
) -> Outcome:
    scheduler = getattr(diffusers, name)(**options)
    run = Walk(flows, *_end(kind, scheduler))
    scheduler.set_timesteps(count(evaluations))
    if hasattr(scheduler, "set_begin_index"):
        scheduler.set_begin_index(0)
    first = kind.level(scheduler, 0, scheduler.timesteps[0])
    scale = 1.0 / first[0] if kind.scaled else math.hypot(*first)
    x = scale * run.unit.unsqueeze(0)
    for i, t in enumerate(scheduler.timesteps):
        level = kind.level(scheduler, i, t)
        if hasattr(scheduler, "scale_model_input"):
            scheduler.scale_model_input(x, t)  # which some count on; what is fed is this, unrounded
        answer = _answer(kind, scheduler, run, level[0] * x if kind.scaled else x, level)
        x = scheduler.step(answer, t, x, return_dict=False, **spends)[0]
    return run, x
