"""The samples that a run shows on its way."""

from hush.processes import GaussianProcess
from hush.samplers import Multistep, Sampler
from hush.system import System

STEPS, LONG = 20, 50  # of a walk on the flow; of another


def shown(system: System) -> tuple[Sampler, int]:
    """The sampler of what is shown, and its steps: few on the flow, where there is one."""
    if isinstance(system.denoiser.process, GaussianProcess):
        return Multistep(), min(system.grid.steps, STEPS)
    return system.sampler, min(system.grid.steps, LONG)
