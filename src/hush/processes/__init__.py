"""Forward processes: how data become noise."""

from hush.processes.base import Moment, Process
from hush.processes.gaussian import GaussianProcess

__all__ = ["GaussianProcess", "Moment", "Process"]
