"""Distributions over states: what forward laws and denoisers answer with."""

from hush.distributions.base import Distribution, kl
from hush.distributions.categorical import Categorical
from hush.distributions.gaussian import Gaussian
from hush.distributions.product import Product

__all__ = ["Categorical", "Distribution", "Gaussian", "Product", "kl"]
