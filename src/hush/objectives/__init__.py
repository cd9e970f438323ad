"""Objectives: what a denoiser is trained to make small."""

from hush.objectives import times, weights
from hush.objectives.base import Objective
from hush.objectives.control import StochasticControl
from hush.objectives.denoising import Denoising
from hush.objectives.evidence_lower_bound import Bernoulli, EvidenceLowerBound, Normal
from hush.objectives.high_order import HighOrder
from hush.objectives.joint import Joint
from hush.objectives.learned_bound import LearnedBound
from hush.objectives.order_agnostic import OrderAgnostic, order_losses, random_order
from hush.objectives.reconstruction import Reconstruction
from hush.objectives.score_matching import SlicedScoreMatching
from hush.objectives.spread import Spread
from hush.objectives.variational import Hybrid, Variational

__all__ = [
    "Bernoulli",
    "Denoising",
    "EvidenceLowerBound",
    "HighOrder",
    "Hybrid",
    "Joint",
    "LearnedBound",
    "Normal",
    "Objective",
    "OrderAgnostic",
    "Reconstruction",
    "SlicedScoreMatching",
    "Spread",
    "StochasticControl",
    "Variational",
    "order_losses",
    "random_order",
    "times",
    "weights",
]
