"""What a unit draw of noise looks like: a slot of the Gaussian process."""

from hush.noise.base import GaussianNoise, NoiseLaw, with_density
from hush.noise.gaussian import Centred, Coloured, Symmetric, White
from hush.noise.simplex import Simplex

__all__ = [
    "Centred",
    "Coloured",
    "GaussianNoise",
    "NoiseLaw",
    "Simplex",
    "Symmetric",
    "White",
    "with_density",
]
