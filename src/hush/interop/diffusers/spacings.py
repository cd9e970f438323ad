"""The grid that a scheduler walks: which steps of its chain, or which σ/α.

All in float64 and exact. What diffusers tells the network of the time it rounds where it spaces σ;
the clock of a network of hush is that of its level.
"""

import math
from collections.abc import Callable, Mapping
from itertools import pairwise

import numpy as np
import torch
from scipy.stats import beta as beta_law

from hush.errors import UserError
from hush.interop.diffusers.chains import chain
from hush.interop.diffusers.options import Options
from hush.samplers.grids import Given
from hush.schedules import EDM, Rectified, Schedule

Places = np.ndarray
Spread = Callable[[float, float, int, float], Places]
RHO = 7.0
LOUDEST = (2.0**24 - 1.0) ** 0.5  # σ/α where they take ᾱ = 0 for 2⁻²⁴
STEPPED = ("DDPMScheduler", "DDIMScheduler", "PNDMScheduler")  # they know whole timesteps alone
EVEN = (
    "EulerDiscreteScheduler",
    "EulerAncestralDiscreteScheduler",
    "HeunDiscreteScheduler",
    "DPMSolverSDEScheduler",
)


def grid(options: Options, schedule: Schedule, steps: int) -> Given:
    """The times of a walk of so many steps, the last of which may go nowhere, see `stands`.

    Raises `UserError` where the scheduler would walk past the chain or stand twice at a timestep.
    """
    if steps < 1:
        raise UserError(f"A walk needs at least 1 step, got {steps}.")
    if options.name in STEPPED:
        places = _timesteps(options, steps, schedule.steps, schedule.steps)
        end = 0 if options["set_alpha_to_one"] else 1
        times = [*((places + 1) / schedule.steps).tolist(), end / schedule.steps]
    else:
        ratios = torch.tensor(_ratios(options, schedule, steps), dtype=torch.float64)
        times = schedule.time(-2.0 * ratios.log()).tolist()
        times[-1] = times[-2] if ratios[-1] == ratios[-2] else times[-1]  # to the last bit
    if any(s >= t for t, s in pairwise(times[:-1])) or times[-1] > times[-2]:
        raise UserError(
            f"{options.name} in {steps} steps would stand twice at one timestep: take fewer steps."
        )
    return Given.at(times)


def stands(grid: Given) -> bool:
    """Whether the last step goes from a time to itself, at the cost of an evaluation."""
    return grid.steps > 1 and grid.moments[-1] == grid.moments[-2]


def _timesteps(options: Options, steps: int, length: int, last: int) -> Places:
    """Timesteps of the chain, falling, counted from 0 as theirs are; `last` of the `length` are not
    too noisy for the scheduler."""
    spacing = options.one_of("timestep_spacing", SPACINGS)
    to_ends = options.name in (*STEPPED, *EVEN)  # others leave the last one out
    places = spacing(steps, length, last, to_ends) + options["steps_offset"] * (spacing is _leading)
    if options.name not in EVEN:
        places = places.round()
    if places[0] > length - 1:
        raise UserError(
            f"{options.name} in {steps} steps would begin at timestep {places[0]:g} of a chain "
            f"whose last is {length - 1}: take fewer steps, or a steps_offset of 0."
        )
    return places


def _linspace(steps: int, length: int, last: int, to_ends: bool) -> Places:
    if to_ends:
        return np.linspace(0, last - 1, steps)[::-1]
    return np.linspace(0, last - 1, steps + 1)[:0:-1]


def _leading(steps: int, length: int, last: int, to_ends: bool) -> Places:
    count = steps if to_ends else steps + 1
    return np.arange(count)[::-1][:steps] * float(last // count)


def _trailing(steps: int, length: int, last: int, to_ends: bool) -> Places:
    falling = last - np.arange(steps) * (length / steps)
    return falling[falling > 0.0].round() - 1.0


SPACINGS: Mapping[str, Callable[[int, int, int, bool], Places]] = {
    "linspace": _linspace,
    "leading": _leading,
    "trailing": _trailing,
}


def _ratios(options: Options, schedule: Schedule, steps: int) -> list[float]:
    """σ/α at every place of the walk, its end included."""
    options.ignore("timestep_spacing", "steps_offset", "flow_shift", "shift_terminal")
    options.ignore("lambda_min_clipped", "interpolation_type", "time_shift_type")
    if isinstance(schedule, EDM):
        spaced = options.one_of("sigma_schedule", {"karras": _karras, "exponential": _geometric})
        walked = spaced(options["sigma_max"], options["sigma_min"], steps, options["rho"])
        return [*walked.tolist(), _end(options, walked[-1], walked[-1])]
    made, spread = chain(options), _spread(options)
    table = np.sqrt(np.expm1(-2.0 * made.log_alpha[1:].numpy()))  # σ/α of the chain's steps
    table[-1] = LOUDEST if math.isinf(table[-1]) else table[-1]
    if isinstance(schedule, Rectified) and spread is None:
        walked, lowest = _flow(options, made.steps, steps), table[0] / (1.0 - table[0])
    else:
        walked, lowest = _along(options, table, spread, steps), table[0]
    own = spread is not None or isinstance(schedule, Rectified)
    own &= options.name in ("UniPCMultistepScheduler", "DEISMultistepScheduler")
    return [*walked.tolist(), _end(options, walked[-1], walked[-1] if own else lowest)][: steps + 1]


def _along(options: Options, table: Places, spread: Spread | None, steps: int) -> Places:
    """σ/α of the walk from that of the chain's steps."""
    length = len(table)
    if spread is not None and options.name not in EVEN:
        walked = table[::-1]
    elif options.one_of("interpolation_type", {"linear": False, "log_linear": True}):
        walked = np.geomspace(table[-1], table[0], steps + 1)  # they end there, whatever is said
    else:
        too_noisy = int((np.log(table) > -options["lambda_min_clipped"]).sum())
        places = _timesteps(options, steps, length, length - too_noisy)
        walked = np.interp(places, np.arange(length), table)
    if spread is None:
        return walked
    high, low = options["sigma_max"], options["sigma_min"]
    high, low = walked[0] if high is None else high, walked[-1] if low is None else low
    if high > table[-1] * (1.0 + 1e-9):
        raise options.refuse("sigma_max", f"the chain ends at σ/α = {table[-1]:g}.")
    return spread(high, low, steps, RHO)


def _flow(options: Options, length: int, steps: int) -> Places:
    """σ/α of the flow's even times, shifted."""
    shift, terminal = options["flow_shift"], options["shift_terminal"]
    unipc = options.name == "UniPCMultistepScheduler"
    falling = np.linspace(1.0, 1.0 / length, steps + 1)[:-1]
    sigma = falling if unipc else falling - 1.0 / length
    sigma = shift * sigma / (1.0 + (shift - 1.0) * sigma)
    if terminal:
        sigma = 1.0 - (1.0 - sigma) * (1.0 - terminal) / (1.0 - sigma[-1])
    if abs(sigma[0] - 1.0) < 1e-6:
        sigma[0] -= 1e-6  # where their α = 0
    return sigma / (1.0 - sigma)


def _spread(options: Options) -> Spread | None:
    """How σ is spaced anew between its ends, if it is."""
    chosen = [name for name in SPREADS if options[name]]
    if len(chosen) > 1:
        raise options.refuse(chosen[0], f"leave that or {chosen[1]} out.")
    unipc_s = (options.name, *chosen) == ("UniPCMultistepScheduler", "use_karras_sigmas")
    if chosen and options["use_flow_sigmas"] and not unipc_s:
        raise options.refuse(chosen[0], "σ/α of a chain is no σ of a flow.")
    return SPREADS[chosen[0]] if chosen else None


def _karras(high: float, low: float, steps: int, rho: float) -> Places:
    return np.linspace(high ** (1 / rho), low ** (1 / rho), steps) ** rho


def _geometric(high: float, low: float, steps: int, rho: float) -> Places:
    return np.geomspace(high, low, steps)


def _beta(high: float, low: float, steps: int, rho: float) -> Places:
    """Lee et al. 2024, "Beta sampling is all you need": the quantiles of Beta(0.6, 0.6)."""
    return low + (high - low) * beta_law.ppf(np.linspace(1.0, 0.0, steps), 0.6, 0.6)


SPREADS: Mapping[str, Spread] = {
    "use_karras_sigmas": _karras,
    "use_lu_lambdas": _geometric,
    "use_exponential_sigmas": _geometric,
    "use_beta_sigmas": _beta,
}


def _end(options: Options, last: float, lowest: float) -> float:
    """σ/α of where the walk ends: the data, or the least noise, which may be where it stands."""
    lowest = last if math.isclose(last, lowest, rel_tol=1e-9) else lowest
    if options.name == "DEISMultistepScheduler":
        return lowest
    return options.one_of("final_sigmas_type", {"zero": 0.0, "sigma_min": lowest})
