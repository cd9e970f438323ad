"""Kernels of categorical processes: how one of K states becomes another."""

from hush.processes.kernels.base import Kernel, Matrix
from hush.processes.kernels.ordinal import DiscretisedGaussian
from hush.processes.kernels.touch import Absorbing, MaskAndReplace, Touch, Uniform
from hush.processes.kernels.walks import Banded, NearestNeighbour, Walk

__all__ = [
    "Absorbing",
    "Banded",
    "DiscretisedGaussian",
    "Kernel",
    "MaskAndReplace",
    "Matrix",
    "NearestNeighbour",
    "Touch",
    "Uniform",
    "Walk",
]
