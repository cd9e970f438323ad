"""What a distribution over states is: what forward laws and denoisers answer with."""

from abc import ABC, abstractmethod
from typing import Any

from jaxtyping import Float
from torch import Tensor

from hush.rng import Streams


class Distribution(ABC):
    """A law of states, one for each sample of a batch and independent between samples. A state is
    a tensor (batch, *event), or a dictionary of such where the law is a `Product`."""

    @abstractmethod
    def sample(self, rng: Streams) -> Any:
        """One state per sample, each from its own stream (one draw)."""

    @abstractmethod
    def log_prob(self, x: Any) -> Float[Tensor, " batch"]:
        """log p(x) in nats, of each sample's whole event."""

    @abstractmethod
    def error(self, x: Any) -> Float[Tensor, " batch *event"]:
        """How far x is from what was believed, element by element: what training makes small."""

    @abstractmethod
    def kl(self, other: "Distribution") -> Float[Tensor, " batch"]:
        """KL(self ‖ other) in nats, of each sample's whole event."""

    @abstractmethod
    def toward(self, other: "Distribution", weight: float) -> "Distribution":
        """The law moved from here to `other` (weight 1) or past it: what guidance does."""

    @abstractmethod
    def halves(self) -> "tuple[Distribution, Distribution]":
        """The laws of the two halves of a doubled batch."""

    @abstractmethod
    def detached(self) -> "Distribution":
        """The same law with its place held fixed for gradients (a Gaussian's mean; its variance
        still learns)."""

    @property
    def is_point(self) -> bool:
        """Whether all the mass of numbers is at one place, so that they have no density."""
        return False

    def blurred_like(self, other: "Distribution") -> "Distribution":
        """The law, with the noise of `other` for each element whose own mass is all at a point."""
        return self

    def clean(self) -> "Distribution":
        """What is drawn at the end of a walk: the law without the noise that only blurs it."""
        return self


def kl(q: Distribution, p: Distribution) -> Float[Tensor, " batch"]:
    """KL(q ‖ p) in nats, of each sample's whole event."""
    return q.kl(p)
