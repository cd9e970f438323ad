"""Denoisers: a noised state to a belief over the data."""

from hush.denoisers import parameterisations
from hush.denoisers.base import Denoiser
from hush.denoisers.gaussian import GaussianDenoiser
from hush.denoisers.parameterisations import Parameterisation

__all__ = ["Denoiser", "GaussianDenoiser", "Parameterisation", "parameterisations"]
