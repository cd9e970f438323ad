"""Denoisers: a noised state to a belief over the data."""

from hush.denoisers import parameterisations, variances
from hush.denoisers.base import Denoiser
from hush.denoisers.categorical import CategoricalDenoiser
from hush.denoisers.conservative import Conservative
from hush.denoisers.controlled import Controlled, Path
from hush.denoisers.decoded import Decoded
from hush.denoisers.gaussian import GaussianDenoiser
from hush.denoisers.parameterisations import Parameterisation
from hush.denoisers.product import DiffusedCondition, ProductDenoiser
from hush.denoisers.variances import Variance

__all__ = [
    "CategoricalDenoiser",
    "Conservative",
    "Controlled",
    "Decoded",
    "Denoiser",
    "DiffusedCondition",
    "GaussianDenoiser",
    "Parameterisation",
    "Path",
    "ProductDenoiser",
    "Variance",
    "parameterisations",
    "variances",
]
