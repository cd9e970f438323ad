"""The schedulers of diffusers as subjects: the same exact beliefs, said in the words they expect.

A scheduler's chain is DDPM's linear one of 1000 steps, with clipping off. The belief is that of the
noise level which the scheduler itself keeps for the call; what it then does with the answer is its
own. For an order, its chain is made anew so that all steps shrink as they grow in number.
"""

import copy
import functools
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor

from hush.errors import UserError
from hush.schedules import Level, VariancePreserving
from hush.testing.subjects import Belief, Spacing, Subject, refined

# How a scheduler keeps its state, and where its level is written:
#   step      x = α x_0 + σ ε, ᾱ in a table by the timestep
#   sigma     the same, σ/α in a table by the call
#   scaled    x/α, σ/α in a table by the call
#   edm       α = 1, σ in a table by the call
#   straight  α = 1 - σ, σ in a table by the call
State = Literal["step", "sigma", "scaled", "edm", "straight"]
CHAIN: Mapping[str, Any] = {"beta_start": 1e-4, "beta_end": 0.02, "beta_schedule": "linear"}


@dataclass(frozen=True)
class Peer(Subject):
    """A scheduler of diffusers, with its options."""

    scheduler: str
    state: State
    order: int
    options: Mapping[str, Any] = field(default_factory=dict)
    name: str = ""
    where: str = "diffusers, DDPM's linear chain"
    floor: float = 3e-5  # its tables are float32

    def __post_init__(self) -> None:
        words = [_word(*option) for option in self.options.items() if option[0] not in _SILENT]
        name = self.scheduler.replace("Scheduler", "").replace("Discrete", "")
        object.__setattr__(self, "name", self.name or " ".join([name, *words]))
        if self.state in ("edm", "straight"):
            object.__setattr__(self, "where", "diffusers, " + _NAMED[self.state])

    @property
    def refines(self) -> bool:
        spaced = any(key.startswith("use_") for key in self.options)
        return self.chained and not spaced

    @property
    def chained(self) -> bool:
        """Whether it walks a chain of betas."""
        return self.state in ("step", "sigma", "scaled")

    def made(self, steps: int, spacing: Spacing = "own") -> Any:
        """The scheduler itself, set to walk so many steps."""
        options = dict(self.options)
        if self.chained:
            options = {**CHAIN, **options}
        if spacing != "own":
            options |= _refined(steps, spacing, _parameters(self.scheduler))
        key = tuple((name, _frozen(value)) for name, value in options.items())
        return copy.deepcopy(_prototype(self.scheduler, key, steps))

    def start(self, steps: int, spacing: Spacing = "own") -> Level:
        scheduler = self.made(steps, spacing)
        return self._level(scheduler, 0, scheduler.timesteps[0])

    def end(self, steps: int, spacing: Spacing) -> Level:
        scheduler = self.made(steps, spacing)
        if self.state == "step":
            alpha_bar = float(getattr(scheduler, "final_alpha_cumprod", 1.0))
            return Level(0.0, alpha_bar**0.5, (1.0 - alpha_bar) ** 0.5)
        sigma = float(scheduler.sigmas[-1])
        return self._at(0.0, sigma)

    def prior(self, steps: int) -> float:
        scheduler = self.made(steps)
        level = self._level(scheduler, 0, scheduler.timesteps[0])
        scale = level.alpha if self.state == "scaled" else 1.0
        return float(getattr(scheduler, "init_noise_sigma", 1.0)) * scale

    def walk(
        self, belief: Belief, x: Tensor, steps: int, seed: int, spacing: Spacing = "own"
    ) -> Tensor:
        scheduler = self.made(steps, spacing)
        spends = {}
        if "generator" in scheduler.step.__code__.co_varnames:
            spends["generator"] = torch.Generator().manual_seed(seed)
        for call, t in enumerate(scheduler.timesteps):
            level = self._level(scheduler, call, t)
            scale = level.alpha if self.state == "scaled" else 1.0
            if call == 0:
                x = x / scale
            if hasattr(scheduler, "scale_model_input"):
                scheduler.scale_model_input(x, t)
            answer = self._answer(scheduler, belief(scale * x, level), scale * x, level)
            x = scheduler.step(answer, t, x, return_dict=False, **spends)[0].double()
        return x

    def lengths(self) -> tuple[int, ...]:
        return (1, 2, 3, 61, 499, 999, 1000)  # 1000/61 rounds up, 61 times

    def _level(self, scheduler: Any, call: int, t: Tensor) -> Level:
        if self.state == "step":
            alpha_bar = scheduler.alphas_cumprod[int(t)].double().item()
            return Level(float(t), alpha_bar**0.5, (1.0 - alpha_bar) ** 0.5)
        table = scheduler.sigmas
        if hasattr(scheduler, "sigmas_interpol") and not scheduler.state_in_first_order:
            table = scheduler.sigmas_interpol
            call -= hasattr(scheduler, "sigmas_up")  # the ancestral kind keeps it one earlier
        return self._at(float(t), float(table[call]))

    def _at(self, t: float, sigma: float) -> Level:
        if self.state == "edm":
            return Level(t, 1.0, sigma)
        if self.state == "straight":
            return Level(t, 1.0 - sigma, sigma)
        size = math.hypot(1.0, sigma)
        return Level(t, 1.0 / size, sigma / size)

    def _answer(self, scheduler: Any, mean: Tensor, x: Tensor, level: Level) -> Tensor:
        """What a network would say, in the words the scheduler reads."""
        if self.state == "edm":  # the output of Karras's preconditioned network
            width = scheduler.config.sigma_data
            size = math.hypot(level.sigma, width)
            return (mean - (width / size) ** 2 * x) * size / (level.sigma * width)
        if self.state == "straight":
            return (x - mean) / level.sigma
        return (x - level.alpha * mean) / level.sigma


@functools.lru_cache(maxsize=64)
def _prototype(scheduler: str, options: tuple[tuple[str, Any], ...], steps: int) -> Any:
    """A scheduler ready to walk; to be copied, as a walk leaves traces in it."""
    made = getattr(_diffusers(), scheduler)(**dict(options))
    made.set_timesteps(steps)
    return made


def _word(option: str, value: Any) -> str:
    """An option, short: its value where that is a word, else its name."""
    if isinstance(value, bool):
        return option
    return value if isinstance(value, str) else f"{option}={value}"


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


_SILENT = ("clip_sample",)
_NAMED = {"edm": "its own Karras levels", "straight": "rectified flow"}


def _diffusers() -> Any:
    try:
        import diffusers
    except ImportError as error:
        raise UserError(
            "diffusers is not installed, so there is nothing to certify: pip install diffusers."
        ) from error
    diffusers.utils.logging.set_verbosity_error()
    return diffusers


def _parameters(scheduler: str) -> tuple[str, ...]:
    return getattr(_diffusers(), scheduler).__init__.__wrapped__.__code__.co_varnames


def _refined(steps: int, spacing: Spacing, known: tuple[str, ...]) -> dict[str, Any]:
    """The options of a chain of twice as many steps that refines everywhere, so that none of the
    steps walked is at its very end; with even log-SNRs the walk stops at some noise."""
    levels = refined(VariancePreserving(), 2 * steps, spacing)[::-1]
    alpha_bar = torch.tensor([level.alpha for level in levels], dtype=torch.float64) ** 2
    if spacing == "log_snr":
        alpha_bar[0] = 1.0  # the first β takes all the noise up to the second level
    options: dict[str, Any] = {
        "trained_betas": (1.0 - alpha_bar[1:] / alpha_bar[:-1]).tolist(),
        "num_train_timesteps": 2 * steps,
        "timestep_spacing": "trailing",
        "final_sigmas_type": "sigma_min" if spacing == "log_snr" else "zero",
        "set_alpha_to_one": spacing != "log_snr",
    }
    return {key: value for key, value in options.items() if key in known}


def diffusers() -> list[Peer]:
    """Its schedulers, each with the choices that change its mathematics.

    Raises:
        UserError: diffusers is not installed.
    """
    _diffusers()
    unclipped = {"clip_sample": False}
    spaced = [{"timestep_spacing": word} for word in ("linspace", "leading", "trailing")]
    sde = {"algorithm_type": "sde-dpmsolver++"}
    multistep = "DPMSolverMultistepScheduler"
    singlestep = "DPMSolverSinglestepScheduler"
    return [
        *(Peer("DDIMScheduler", "step", 1, unclipped | spacing) for spacing in spaced),
        *(Peer("DDPMScheduler", "step", 1, unclipped | spacing) for spacing in spaced),
        *(Peer("EulerDiscreteScheduler", "scaled", 1, spacing) for spacing in spaced),
        Peer("EulerAncestralDiscreteScheduler", "scaled", 1),
        Peer("HeunDiscreteScheduler", "scaled", 2),
        Peer("KDPM2DiscreteScheduler", "scaled", 2),
        Peer("KDPM2AncestralDiscreteScheduler", "scaled", 2),
        Peer("LMSDiscreteScheduler", "scaled", 4),
        Peer("PNDMScheduler", "step", 4, {"skip_prk_steps": True}),
        Peer("PNDMScheduler", "step", 4),
        Peer(multistep, "sigma", 2),
        Peer(multistep, "sigma", 2, {"solver_type": "heun"}),
        Peer(multistep, "sigma", 3, {"solver_order": 3}),
        Peer(multistep, "sigma", 2, {"timestep_spacing": "leading"}),
        Peer(multistep, "sigma", 2, {"timestep_spacing": "trailing"}),
        Peer(multistep, "sigma", 2, {"use_karras_sigmas": True}),
        Peer(multistep, "sigma", 1, sde | {"solver_order": 1}),
        Peer(multistep, "sigma", 2, sde),
        Peer(singlestep, "sigma", 2),
        Peer(singlestep, "sigma", 3, {"solver_order": 3}),
        Peer("DEISMultistepScheduler", "sigma", 2),
        Peer("DEISMultistepScheduler", "sigma", 3, {"solver_order": 3}),
        Peer("UniPCMultistepScheduler", "sigma", 2),
        Peer("UniPCMultistepScheduler", "sigma", 3, {"solver_order": 3}),
        Peer("SASolverScheduler", "sigma", 2),
        Peer("EDMEulerScheduler", "edm", 1),
        Peer("EDMDPMSolverMultistepScheduler", "edm", 2),
        Peer("EDMDPMSolverMultistepScheduler", "edm", 3, {"solver_order": 3}),
        Peer("FlowMatchEulerDiscreteScheduler", "straight", 1),
        Peer("FlowMatchHeunDiscreteScheduler", "straight", 2),
    ]
