"""Objectives: what a denoiser is trained to make small."""

from hush.objectives import times, weights
from hush.objectives.base import Objective
from hush.objectives.denoising import Denoising

__all__ = ["Denoising", "Objective", "times", "weights"]
