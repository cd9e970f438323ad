"""Guidance: denoiser to denoiser."""

from hush.guidance.free import ClassifierFree

__all__ = ["ClassifierFree"]
