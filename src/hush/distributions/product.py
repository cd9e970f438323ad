"""Laws of several kinds of state at once: positions and atoms, a picture and its caption."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from hush.distributions.base import Distribution
from hush.rng import Streams

State = dict[str, Tensor]


@dataclass(frozen=True)
class Product(Distribution):
    """Independent laws by name; a state is a dictionary of theirs. Each part draws from streams of
    its own, so that what one part draws does not move another."""

    parts: dict[str, Distribution]

    def sample(self, rng: Streams) -> State:
        return {name: part.sample(rng.branch(name)) for name, part in self.parts.items()}

    def log_prob(self, x: State) -> Float[Tensor, " batch"]:
        return sum(part.log_prob(x[name]) for name, part in self.parts.items())

    def error(self, x: State) -> Float[Tensor, "batch element"]:
        """The errors of all parts, flattened and joined in their order."""
        errors = [part.error(x[name]).flatten(1) for name, part in self.parts.items()]
        return torch.cat(errors, 1)

    def kl(self, other: "Product") -> Float[Tensor, " batch"]:
        return sum(part.kl(other.parts[name]) for name, part in self.parts.items())

    def toward(self, other: "Product", weight: float) -> "Product":
        moved = {name: part.toward(other.parts[name], weight) for name, part in self.parts.items()}
        return Product(moved)

    def halves(self) -> "tuple[Product, Product]":
        both = {name: part.halves() for name, part in self.parts.items()}
        first, second = ({name: pair[i] for name, pair in both.items()} for i in (0, 1))
        return Product(first), Product(second)

    def detached(self) -> "Product":
        return Product({name: part.detached() for name, part in self.parts.items()})

    @property
    def is_point(self) -> bool:
        """Whether any part is."""
        return any(part.is_point for part in self.parts.values())

    def blurred_like(self, other: "Product") -> "Product":
        parts = self.parts.items()
        return Product({name: part.blurred_like(other.parts[name]) for name, part in parts})

    def clean(self) -> "Product":
        return Product({name: part.clean() for name, part in self.parts.items()})
