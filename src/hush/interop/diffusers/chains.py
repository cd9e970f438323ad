"""The schedule, what the network's output means, and how its beliefs are held and spread."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch

from hush.denoisers import Parameterisation, Variance
from hush.denoisers.parameterisations import EDM, Data, Noise, V, Velocity
from hush.denoisers.variances import Interpolated, Unit, Zero
from hush.errors import UserError
from hush.guidance import Clip, Guidance
from hush.interop.diffusers.options import Options
from hush.schedules import EDM as NoiseLevel
from hush.schedules import (
    Level,
    Rectified,
    Schedule,
    Tabulated,
    cosine_betas,
    quadratic_betas,
    sigmoid_betas,
    zero_terminal_snr,
)
from hush.schedules.betas import Betas, betas_from_alpha_bar
from hush.tensors import Number


def _linear(steps: int, first: float, last: float) -> Betas:
    return tuple(torch.linspace(first, last, steps, dtype=torch.float64).tolist())


def _cosine(steps: int, first: float, last: float) -> Betas:
    return cosine_betas(steps)


def _exponential(steps: int, first: float, last: float) -> Betas:
    return (min(-math.expm1(-12.0 / steps), 0.999),) * steps


def _laplace(steps: int, first: float, last: float) -> Betas:
    """ᾱ(u) = √(s/(1+s)), log s = -½ sign(½ - u) log(1 - 2|½ - u| + 1e-6)."""
    u = torch.linspace(0, 1, steps + 1, dtype=torch.float64)
    side = torch.where(u > 0.5, -1.0, 1.0)
    log_snr = -0.5 * side * (1.0 - 2.0 * (0.5 - u).abs() + 1e-6).log()
    return betas_from_alpha_bar(log_snr.sigmoid().sqrt(), 0.999)


BETAS: Mapping[str, Callable[[int, float, float], Betas]] = {
    "linear": _linear,
    "scaled_linear": quadratic_betas,
    "squaredcos_cap_v2": _cosine,
    "sigmoid": sigmoid_betas,
    "exp": _exponential,
    "laplace": _laplace,
}
MEANINGS: Mapping[str, Parameterisation] = {
    "epsilon": Noise(),
    "sample": Data(),
    "v_prediction": V(),
    "flow_prediction": Velocity(),
}
VARIANCES: Mapping[str, Variance] = {
    "fixed_small": Zero(),
    "fixed_small_log": Zero(),
    "fixed_large": Unit(),
    "learned_range": Interpolated(),
}


@dataclass(frozen=True)
class Bare(Parameterisation):
    """Another parameterisation whose network is fed x_t as it is and told `steps`·t: how diffusers
    asks the networks of flows."""

    meaning: Parameterisation = field(default_factory=Velocity)
    steps: int = 1000

    def belief(self, schedule: Schedule, level: Level) -> tuple[Number, Number]:
        return self.meaning.belief(schedule, level)

    def c_in(self, level: Level) -> Number:
        return 1.0

    def clock(self, schedule: Schedule, level: Level) -> Number:
        return self.steps * level.time


def schedule(options: Options) -> Schedule:
    """(α, σ): the chain, the rectified flow of `use_flow_sigmas`, or EDM's noise level."""
    if "sigma_data" in options.known:
        return NoiseLevel(options["sigma_max"])
    return Rectified() if options["use_flow_sigmas"] else chain(options)


def chain(options: Options) -> Tabulated:
    """The chain of the betas, which a scheduler of flows has too and hardly uses."""
    made = Tabulated(_betas(options))
    return zero_terminal_snr(made) if options["rescale_betas_zero_snr"] else made


def _betas(options: Options) -> Betas:
    steps, given = options["num_train_timesteps"], options["trained_betas"]
    first, last = options["beta_start"], options["beta_end"]
    named = options.one_of("beta_schedule", BETAS)
    if given is None:
        return named(steps, first, last)
    if len(given) != steps:
        raise UserError(
            f"trained_betas has {len(given)} entries where num_train_timesteps is {steps}: set "
            "num_train_timesteps to their number."
        )
    return tuple(float(beta) for beta in given)


def parameterisation(options: Options) -> Parameterisation:
    """What `prediction_type` says of the network's output."""
    if "sigma_data" in options.known:
        options.one_of("prediction_type", {"epsilon": None})  # their v has its sign turned
        options.ignore("num_train_timesteps")
        return EDM(options["sigma_data"])
    meaning = options.one_of("prediction_type", MEANINGS)
    if options["use_flow_sigmas"]:
        return Bare(meaning, options["num_train_timesteps"])
    if isinstance(meaning, Velocity):
        raise options.refuse("prediction_type", "set use_flow_sigmas, whose velocity it is.")
    return meaning


def variance(options: Options, steps: int) -> Variance:
    """What `variance_type` says of the belief's: β̃ of DDPM's step is none, β is a unit one."""
    if options.name != "DDPMScheduler":
        return Zero()
    made, length = options.one_of("variance_type", VARIANCES), options["num_train_timesteps"]
    if made.heads and steps != length:
        why = f"longer steps have another variance here: take all {length}, or DDIMScheduler."
        raise options.refuse("variance_type", why)
    return made


def threshold(options: Options) -> Guidance | None:
    """How x̂_0 is held in range, if at all."""
    dynamic, largest = options["thresholding"], options["sample_max_value"]
    clip, edge = options["clip_sample"], options["clip_sample_range"]
    options.ignore("dynamic_thresholding_ratio")  # where the largest edge is 1
    options.ignore("use_clipped_model_output")  # hush's noise always follows what is clipped
    if dynamic and largest != 1.0:
        why = "its largest edge is 1 (which clips), or take guidance.DynamicThreshold in its place."
        raise options.refuse("sample_max_value", why)
    if dynamic:
        return Clip()
    return Clip(-edge, edge) if clip else None
