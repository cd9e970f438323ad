"""Back: from what hush walks with to a scheduler's configuration, found by trying them."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from typing import Any

import numpy as np

from hush.denoisers import Parameterisation, Variance
from hush.denoisers.parameterisations import EDM as Preconditioned
from hush.denoisers.variances import Zero
from hush.errors import UserError
from hush.guidance import Clip, Guidance
from hush.interop.diffusers.chains import BETAS, MEANINGS, VARIANCES, Bare
from hush.interop.diffusers.motion import Motion, from_diffusers
from hush.interop.diffusers.options import SCHEDULERS, Config, Options
from hush.interop.diffusers.solvers import sampler
from hush.samplers import Ancestral, Sampler
from hush.schedules import EDM, Level, Rectified, Schedule, Tabulated

Choices = Mapping[str, Sequence[Any]]
EVERYWHERE = tuple(range(1000))  # more steps than there are
SOLVING: Choices = {  # what samplers depend on
    "solver_order": (1, 2, 3),
    "algorithm_type": ("dpmsolver++", "sde-dpmsolver++", "dpmsolver"),
    "solver_type": ("midpoint", "heun"),
    "predict_x0": (True, False),
    "disable_corrector": ((), EVERYWHERE),
    "skip_prk_steps": (True, False),
    "lower_order_final": (True, False),
    "euler_at_final": (False, True),
    "final_sigmas_type": ("zero", "sigma_min"),
}
SPACING: Sequence[Config] = (
    {"timestep_spacing": "trailing"},
    {"timestep_spacing": "leading"},
    {"timestep_spacing": "leading", "steps_offset": 1},
    {"timestep_spacing": "linspace"},
    {"use_karras_sigmas": True},
    {"use_exponential_sigmas": True},
    {"use_beta_sigmas": True},
    {"sigma_schedule": "karras"},
    {"sigma_schedule": "exponential"},
    {},
)
OWN_TYPE = ("UniPCMultistepScheduler", "DEISMultistepScheduler")  # theirs is the only one


def to_diffusers(motion: Motion) -> dict[str, Any]:
    """The configuration of a scheduler of diffusers that walks as this motion does, in as many
    steps: what `from_diffusers` makes the same motion of, and diffusers too. Other numbers of steps
    it spaces in its own way. `eta` and `use_clipped_model_output`, where the answer has them,
    diffusers takes at each step.

    Raises:
        UserError: a slot that no scheduler has an equivalent of, by name.
    """
    levels = motion.grid(motion.schedule)
    base = _schedule(motion.schedule, levels) | _drawn(motion.sampler)
    base |= _meaning(motion.schedule, motion.parameterisation) | _variance(motion.variance)
    slots = [f"{motion.sampler} with {motion.threshold}"]
    for name, choice in _solvers(motion, base):
        slots.insert(1, f"the grid {motion.grid}")
        for spacing in _spacings(name, base | choice, levels):
            if not _same(name, spacing, levels):
                continue
            if _lawful(name, spacing, len(levels) - 1):
                return {"_class_name": name, **spacing}
            slots.append(f"this motion: its {name} can be told to, and walks otherwise")
    raise UserError(f"No scheduler of diffusers that hush knows has an equivalent of {slots[-1]}.")


def _solvers(motion: Motion, base: Config) -> Iterator[tuple[str, dict[str, Any]]]:
    """The schedulers that know the options of `base`, and what makes the motion's sampler and
    threshold of them."""
    for name, known in SCHEDULERS.items():
        held = _threshold(known, motion.threshold)
        if held is None or not set(base) <= set(known):
            continue
        free = [key for key in SOLVING if key in known and not _own(name, key)]
        for values in product(*(SOLVING[key] for key in free)):
            choice = dict(zip(free, values, strict=True))
            try:
                made = sampler(Options({"_class_name": name, **base, **choice}), motion.grid.steps)
            except UserError:
                continue
            if made == motion.sampler:
                yield name, choice | held


def _own(name: str, key: str) -> bool:
    return name in OWN_TYPE and key in ("algorithm_type", "solver_type")


def _spacings(name: str, config: Config, levels: Sequence[Level]) -> Iterator[dict[str, Any]]:
    """The configuration with each of the spacings that its scheduler knows."""
    known, spacings = SCHEDULERS[name], SPACING
    if "use_flow_sigmas" in config:
        length = config.get("num_train_timesteps", 1000)
        shift = _shift(levels, length, name == "UniPCMultistepScheduler")
        spacings = ({"flow_shift": shift}, {"use_karras_sigmas": True})
    ends = ({"set_alpha_to_one": True}, {"set_alpha_to_one": False}, {})
    for spacing, end in product(spacings, ends):
        if set(spacing) | set(end) <= set(known):
            yield {**config, **spacing, **end}


def _shift(levels: Sequence[Level], length: int, unipc: bool) -> float:
    """The shift that takes the flow's even times, of which the second is σ, to the levels."""
    place = min(1, len(levels) - 2)
    quietest = 1.0 / length
    sigma = 1.0 - place / (len(levels) - 1) * (1.0 - quietest)
    sigma -= 0.0 if unipc else quietest
    shifted = levels[place].sigma
    odds = sigma * (1.0 - shifted)
    return round(shifted * (1.0 - sigma) / odds, 9) if odds > 0.0 else 1.0


def _lawful(name: str, config: Config, steps: int) -> bool:
    """Whether diffusers walks so too: the tests of laws have what it does otherwise."""
    length, spacing = config.get("num_train_timesteps", 1000), config.get("timestep_spacing")
    even = spacing == "trailing" and length % steps == 0
    if name == "DDIMScheduler":
        return even or spacing == "leading"
    if name == "PNDMScheduler":
        halves = config["skip_prk_steps"] or length // steps % 2 == 0  # it knows whole timesteps
        still = spacing == "leading" and not config.get("steps_offset")  # its last step
        return halves and (even if config["set_alpha_to_one"] else still)
    if config.get("solver_order") != 3 or name == "DPMSolverSinglestepScheduler":
        return True
    return name == "UniPCMultistepScheduler" and not config["disable_corrector"]


def _same(name: str, config: Config, levels: Sequence[Level]) -> bool:
    """Whether the configuration walks these levels."""
    try:
        made = from_diffusers({"_class_name": name, **config}, len(levels) - 1)
    except UserError:
        return False
    theirs = [level.time for level in made.grid(made.schedule)]
    ours = [level.time for level in levels]
    return len(theirs) == len(ours) and np.allclose(theirs, ours, rtol=1e-9, atol=1e-12)


def _schedule(schedule: Schedule, levels: Sequence[Level]) -> dict[str, Any]:
    if isinstance(schedule, Tabulated):
        return {"num_train_timesteps": schedule.steps} | _betas(schedule)
    if isinstance(schedule, EDM):
        lowest = min(level.sigma for level in levels if level.sigma > 0.0)
        return {"sigma_max": schedule.sigma_max, "sigma_min": lowest}
    if isinstance(schedule, Rectified):
        return {"use_flow_sigmas": True}
    raise UserError(f"diffusers has no equivalent of the schedule {schedule}.")


def _betas(chain: Tabulated) -> dict[str, Any]:
    """Its name and ends if it has one, else the betas themselves."""
    first, last = chain.betas[0], chain.betas[-1]
    for name in ("linear", "scaled_linear", "squaredcos_cap_v2"):
        if np.allclose(BETAS[name](chain.steps, first, last), chain.betas, rtol=1e-12, atol=0.0):
            return {"beta_schedule": name, "beta_start": first, "beta_end": last}
    return {"trained_betas": list(chain.betas)}


def _meaning(schedule: Schedule, parameterisation: Parameterisation) -> dict[str, Any]:
    if isinstance(parameterisation, Preconditioned) and isinstance(schedule, EDM):
        return {"sigma_data": parameterisation.sigma_data}
    asked, config = parameterisation, {}
    if isinstance(asked, Bare) and isinstance(schedule, Rectified):
        asked, config = asked.meaning, {"num_train_timesteps": asked.steps}
    elif isinstance(schedule, Rectified | EDM):
        asked = None
    for name, meaning in MEANINGS.items():
        if meaning == asked:
            return {"prediction_type": name, **config}
    raise UserError(f"diffusers has no equivalent of {parameterisation} on {schedule}.")


def _variance(variance: Variance) -> dict[str, Any]:
    for name, known in VARIANCES.items():
        if known == variance:
            return {} if variance == Zero() else {"variance_type": name}
    raise UserError(f"diffusers has no equivalent of a belief with the variance {variance}.")


def _threshold(known: Config, threshold: Guidance | None) -> dict[str, Any] | None:
    """What holds beliefs in a scheduler that knows such options, None where nothing does."""
    clips = "clip_sample" in known
    if threshold is None:
        return {"clip_sample": False} if clips else {}
    if not isinstance(threshold, Clip) or threshold.low != -threshold.high:
        return None
    if clips:
        follows = {"use_clipped_model_output": True} if "use_clipped_model_output" in known else {}
        return {"clip_sample": True, "clip_sample_range": threshold.high, **follows}
    return {"thresholding": True} if "thresholding" in known and threshold.high == 1.0 else None


def _drawn(wanted: Sampler) -> dict[str, Any]:
    """What diffusers takes at each step."""
    if isinstance(wanted, Ancestral) and wanted.eta not in (0.0, 1.0):
        return {"eta": wanted.eta}
    return {}
