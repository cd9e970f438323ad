"""What guidance is: a denoiser made of a denoiser."""

from abc import ABC, abstractmethod

from hush.denoisers import Denoiser


class Guidance(ABC):
    """A frozen value that changes what a denoiser believes; samplers do not notice."""

    @abstractmethod
    def __call__(self, denoiser: Denoiser) -> Denoiser:
        """The denoiser with its beliefs changed."""
