"""From a scheduler's configuration to what hush walks with."""

from dataclasses import replace
from typing import NamedTuple

from hush.denoisers import Parameterisation, Variance
from hush.denoisers.variances import Zero
from hush.guidance import Guidance
from hush.interop.diffusers import chains, solvers, spacings
from hush.interop.diffusers.options import Config, Options
from hush.samplers import Multistep, Sampler
from hush.samplers.grids import Given
from hush.schedules import Schedule


class Motion(NamedTuple):
    """What a scheduler is: the schedule its network was trained on, the meaning of the network's
    output, the sampler, the times it visits, the range it holds beliefs to, if any, and their
    variance."""

    schedule: Schedule
    parameterisation: Parameterisation
    sampler: Sampler
    grid: Given
    threshold: Guidance | None = None
    variance: Variance = Zero()


def from_diffusers(config: Config, steps: int) -> Motion:
    """The motion of a scheduler of diffusers in so many steps, from the dictionary it writes to
    scheduler_config.json.

    Walked with the same network it gives what diffusers gives, to rounding, where that keeps its
    own laws; where it does not, hush keeps them: tests/test_interop_laws.py and
    test_interop_finite.py name each. `eta`, `s_churn` and its kin, which diffusers takes at each
    step, may stand in the dictionary. Options that only other schedulers take change nothing.

    Raises:
        UserError: a scheduler, an option or a value that hush knows nothing the like of; a number
            of steps that the scheduler cannot take.

    >>> from_diffusers({"_class_name": "EulerDiscreteScheduler"}, steps=25).sampler.eta
    0.0
    """
    options = Options(config)
    schedule = chains.schedule(options)
    parameterisation = chains.parameterisation(options)
    threshold = chains.threshold(options)
    grid = spacings.grid(options, schedule, steps)
    sampler = solvers.sampler(options, grid.steps)
    variance = chains.variance(options, grid.steps)
    options.finish()
    if spacings.stands(grid):
        sampler, grid = _ending(sampler, grid)
    return Motion(schedule, parameterisation, sampler, grid, threshold, variance)


def _ending(sampler: Sampler, grid: Given) -> tuple[Sampler, Given]:
    """Without the last step, which goes nowhere, unless its evaluation corrects the one before."""
    if isinstance(sampler, Multistep) and sampler.corrector:
        return replace(sampler, tail=sampler.tail or (1,)), grid
    if isinstance(sampler, Multistep):
        sampler = replace(sampler, tail=sampler.tail[:-1])
    return sampler, Given.at(grid.moments[:-1])
