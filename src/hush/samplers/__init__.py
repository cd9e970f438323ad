"""Samplers, and the grids they walk."""

from hush.samplers import bases, grids
from hush.samplers.adaptive import Adaptive
from hush.samplers.adaptive_sde import AdaptiveSDE
from hush.samplers.ancestral import Ancestral
from hush.samplers.base import Sampler, State, walk
from hush.samplers.churn import Churn
from hush.samplers.inversion import Reversible, invert
from hush.samplers.langevin import AnnealedLangevin, PredictorCorrector
from hush.samplers.multistep import Multistep
from hush.samplers.order_agnostic import OrderAgnostic, group_sizes, groups
from hush.samplers.planning import Plan, default, plan
from hush.samplers.repaint import Jumps, RePaint
from hush.samplers.restart import Restart
from hush.samplers.singlestep import SingleStep
from hush.samplers.solvers import Heun, RungeKutta
from hush.samplers.stochastic import EulerMaruyama, ReverseDiffusion

__all__ = [
    "Adaptive",
    "AdaptiveSDE",
    "Ancestral",
    "AnnealedLangevin",
    "Churn",
    "EulerMaruyama",
    "Heun",
    "Jumps",
    "Multistep",
    "OrderAgnostic",
    "Plan",
    "PredictorCorrector",
    "RePaint",
    "Restart",
    "ReverseDiffusion",
    "Reversible",
    "RungeKutta",
    "Sampler",
    "SingleStep",
    "State",
    "bases",
    "default",
    "grids",
    "group_sizes",
    "groups",
    "invert",
    "plan",
    "walk",
]
