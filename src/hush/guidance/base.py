"""What guidance is: a denoiser made of a denoiser."""

from abc import ABC, abstractmethod
from typing import ClassVar

from hush.denoisers import Denoiser
from hush.errors import UserError
from hush.processes import GaussianProcess


class Guidance(ABC):
    """A frozen value that changes what a denoiser believes; samplers do not notice.

    `neutral` is the `scale` at which it changes nothing, for those that have such a scale.
    """

    neutral: ClassVar[float | None] = None

    @abstractmethod
    def __call__(self, denoiser: Denoiser) -> Denoiser:
        """The denoiser with its beliefs changed."""

    def _only_gaussian(self, denoiser: Denoiser) -> None:
        """Refuse what has no mean to be moved, such as tokens."""
        if not isinstance(denoiser.process, GaussianProcess):
            raise UserError(
                f"{type(self).__name__} moves the mean of a Gaussian belief, but this model is of "
                f"a {type(denoiser.process).__name__}: use ClassifierFree() without "
                "rescale, or Autoguidance(), which move any belief."
            )
