"""Guidance: denoiser to denoiser."""

from hush.guidance.base import Guidance
from hush.guidance.free import ClassifierFree
from hush.guidance.thresholds import Clip, DynamicThreshold

__all__ = ["ClassifierFree", "Clip", "DynamicThreshold", "Guidance"]
