"""Noise schedules: time to (α, σ)."""

from hush.schedules.base import Level, Schedule
from hush.schedules.betas import (
    absorbing_betas,
    cosine_betas,
    linear_betas,
    polynomial_betas,
    quadratic_betas,
    sigmoid_betas,
    sqrt_betas,
)
from hush.schedules.continuous import (
    EDM,
    Cosine,
    Rectified,
    SubVP,
    VarianceExploding,
    VariancePreserving,
)
from hush.schedules.learned import Learned
from hush.schedules.modifiers import Shifted, respaced, shifted, zero_terminal_snr
from hush.schedules.tabulated import Tabulated

__all__ = [
    "EDM",
    "Cosine",
    "Learned",
    "Level",
    "Rectified",
    "Schedule",
    "Shifted",
    "SubVP",
    "Tabulated",
    "VarianceExploding",
    "VariancePreserving",
    "absorbing_betas",
    "cosine_betas",
    "linear_betas",
    "polynomial_betas",
    "quadratic_betas",
    "respaced",
    "shifted",
    "sigmoid_betas",
    "sqrt_betas",
    "zero_terminal_snr",
]
