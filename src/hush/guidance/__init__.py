"""Guidance: denoiser to denoiser."""

from hush.guidance.clipping import Clip
from hush.guidance.free import ClassifierFree

__all__ = ["ClassifierFree", "Clip"]
