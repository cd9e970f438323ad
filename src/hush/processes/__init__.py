"""Forward processes: how data become noise."""

from hush.processes import kernels
from hush.processes.base import Moment, Process
from hush.processes.categorical import CategoricalProcess
from hush.processes.driven import Driven
from hush.processes.encoded import Encoded
from hush.processes.gaussian import GaussianProcess
from hush.processes.one_step import OneStep
from hush.processes.product import ProductProcess, Still

__all__ = [
    "CategoricalProcess",
    "Driven",
    "Encoded",
    "GaussianProcess",
    "Moment",
    "OneStep",
    "Process",
    "ProductProcess",
    "Still",
    "kernels",
]
