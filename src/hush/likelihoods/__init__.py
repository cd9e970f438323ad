"""Likelihoods: how probable a model finds data, as bounds and along its flow."""

from hush.likelihoods.analytic import analytic
from hush.likelihoods.bound import Bound, bound
from hush.likelihoods.continuous import continuous
from hush.likelihoods.decoders import Binned, Decoder, Density, Nearest
from hush.likelihoods.dequantise import Dequantiser, Uniform, Variational
from hush.likelihoods.flow import Flow

__all__ = [
    "Binned",
    "Bound",
    "Decoder",
    "Density",
    "Dequantiser",
    "Flow",
    "Nearest",
    "Uniform",
    "Variational",
    "analytic",
    "bound",
    "continuous",
]
