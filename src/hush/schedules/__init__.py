"""Noise schedules: time to (α, σ)."""

from hush.schedules.base import Level, Schedule
from hush.schedules.continuous import EDM, Cosine, Rectified, VariancePreserving
from hush.schedules.tabulated import Tabulated, cosine_betas, linear_betas

__all__ = [
    "EDM",
    "Cosine",
    "Level",
    "Rectified",
    "Schedule",
    "Tabulated",
    "VariancePreserving",
    "cosine_betas",
    "linear_betas",
]
