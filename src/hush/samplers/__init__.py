"""Samplers, and the grids they walk."""

from hush.samplers import bases, grids
from hush.samplers.ancestral import Ancestral
from hush.samplers.base import Sampler, State, walk
from hush.samplers.multistep import Multistep
from hush.samplers.planning import Plan, default, plan
from hush.samplers.repaint import Jumps, RePaint
from hush.samplers.solvers import Heun, RungeKutta

__all__ = [
    "Ancestral",
    "Heun",
    "Jumps",
    "Multistep",
    "Plan",
    "RePaint",
    "RungeKutta",
    "Sampler",
    "State",
    "bases",
    "default",
    "grids",
    "plan",
    "walk",
]
