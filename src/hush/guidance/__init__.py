"""Guidance: denoiser to denoiser."""

from hush.guidance.auto import Autoguidance
from hush.guidance.base import Guidance
from hush.guidance.classifier import Classifier
from hush.guidance.evidence import Evidence
from hush.guidance.free import ClassifierFree
from hush.guidance.in_turn import InTurn
from hush.guidance.interval import Interval
from hush.guidance.inverse import DPS, Observation, Projection, PseudoInverse, Reconstruction
from hush.guidance.judged import Judged
from hush.guidance.operators import Linear, Mask, Matrix, Pool
from hush.guidance.thresholds import Clip, DynamicThreshold
from hush.guidance.tiles import Tiled

__all__ = [
    "DPS",
    "Autoguidance",
    "Classifier",
    "ClassifierFree",
    "Clip",
    "DynamicThreshold",
    "Evidence",
    "Guidance",
    "InTurn",
    "Interval",
    "Judged",
    "Linear",
    "Mask",
    "Matrix",
    "Observation",
    "Pool",
    "Projection",
    "PseudoInverse",
    "Reconstruction",
    "Tiled",
]
