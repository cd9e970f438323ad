"""Samplers, and the grids they walk."""

from hush.samplers import bases, grids
from hush.samplers.adaptive import Adaptive
from hush.samplers.ancestral import Ancestral
from hush.samplers.base import Sampler, State, walk
from hush.samplers.inversion import Reversible, invert
from hush.samplers.multistep import Multistep
from hush.samplers.planning import Plan, default, plan
from hush.samplers.repaint import Jumps, RePaint
from hush.samplers.singlestep import SingleStep
from hush.samplers.solvers import Heun, RungeKutta

__all__ = [
    "Adaptive",
    "Ancestral",
    "Heun",
    "Jumps",
    "Multistep",
    "Plan",
    "RePaint",
    "Reversible",
    "RungeKutta",
    "Sampler",
    "SingleStep",
    "State",
    "bases",
    "default",
    "grids",
    "invert",
    "plan",
    "walk",
]
