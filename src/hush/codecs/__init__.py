"""Codecs: data in their own units to x_0 and back. What they measure lives in their buffers, so a
run stores it beside the weights."""

from hush.codecs.affine import Affine, Range, Residual, Standard
from hush.codecs.base import Codec
from hush.codecs.latent import Latent
from hush.codecs.levels import Levels
from hush.codecs.per_channel import PerChannel

__all__ = ["Affine", "Codec", "Latent", "Levels", "PerChannel", "Range", "Residual", "Standard"]
