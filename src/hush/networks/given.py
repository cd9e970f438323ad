"""What a network is given beside the time and the noised state: a picture, several things."""

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from hush.networks.layers import Map, Mapped, Vector
from hush.tensors import Condition

PICTURE = "picture"  # what a picture is called among the parts of a condition


class Conditions(nn.Module):
    """The sum of several conditions' vectors, each by its name: `Labels`, `Features`."""

    def __init__(self, parts: Mapping[str, nn.Module]) -> None:
        super().__init__()
        self.parts = nn.ModuleDict(parts)

    def forward(self, cond: dict[str, Tensor] | None, batch: int) -> Vector:
        cond = cond or {}
        return sum(part(cond.get(name), batch) for name, part in self.parts.items())


class GivenPicture(nn.Module):
    """A network that sees a picture beside the noised one, as further channels of its input: the
    "picture" of the condition, in [0, 1] and moved to [-1, 1], at the sides of the state (a larger
    or smaller one is resized); absent (NaN) it is 0. Whatever else the condition has goes on.

    `network` takes `channels` channels more than the state has, and answers with as many as ever.
    With an `encoder` they are the features it makes of the picture.
    Saharia et al. 2021, "Image super-resolution via iterative refinement", section 2.3.
    """

    def __init__(self, network: nn.Module, channels: int, encoder: nn.Module | None = None) -> None:
        super().__init__()
        self.network, self.channels = network, channels
        self.encoder = encoder or nn.Identity()

    def forward(
        self, x: Map, clock: Float[Tensor, " batch"], cond: Condition | None = None
    ) -> Mapped:
        rest = dict(cond) if isinstance(cond, dict) else {PICTURE: cond}
        picture = rest.pop(PICTURE)
        if picture is None:
            given = x.new_zeros(len(x), self.channels, *x.shape[2:])
        else:
            given = self.encoder(torch.nan_to_num(2.0 * picture.to(x) - 1.0))
        if given.shape[2:] != x.shape[2:]:
            given = functional.interpolate(given, size=x.shape[2:], mode="area")
        return self.network(torch.cat((x, given), 1), clock, rest or None)
