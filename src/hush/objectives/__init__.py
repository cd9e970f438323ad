"""Objectives: what a denoiser is trained to make small."""

from hush.objectives import times, weights
from hush.objectives.base import Objective
from hush.objectives.denoising import Denoising
from hush.objectives.variational import Hybrid, Variational

__all__ = ["Denoising", "Hybrid", "Objective", "Variational", "times", "weights"]
