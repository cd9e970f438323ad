"""A U-Net's weights under other people's names.

places:  ours ──── theirs, … (several where theirs are parts of one of ours)
read:    their tensors ─► a U-Net of hush         write: back
"""

from collections.abc import Iterable, Iterator, Mapping

import torch
from torch import Tensor, nn

from hush.errors import UserError
from hush.networks import UNet
from hush.tensors import Condition

State = Mapping[str, Tensor]
Place = tuple[str, tuple[str, ...]]  # a module of hush, and the modules of theirs that it holds
Names = Mapping[str, tuple[str, ...]]


class Told(nn.Module):
    """One learned vector per class, and none for "no class": such networks are always told one."""

    def __init__(self, classes: int, features: int) -> None:
        super().__init__()
        self.classes = classes
        self.table = nn.Embedding(classes, features)

    def forward(self, cond: Condition | None, batch: int) -> Tensor:
        if cond is None or bool((cond < 0).any()):
            raise UserError(
                "This network was never without a class: ask for one (cond), and leave out the "
                "guidance that compares with none."
            )
        return self.table(cond)


def inside(ours: str, theirs: str, names: Names) -> Iterator[Place]:
    """The places of a block's parts."""
    for part, inner in names.items():
        yield f"{ours}.{part}", tuple(f"{theirs}.{name}" for name in inner)


def read(network: UNet, places: Iterable[Place], state: State) -> UNet:
    """The network with the weights of `state`.

    Raises:
        UserError: a weight is missing, of another shape, or has no place.
    """
    own, filled, used = network.state_dict(), {}, set()
    for ours, theirs in places:
        for kind in ("weight", "bias"):
            key, names = f"{ours}.{kind}", [f"{name}.{kind}" for name in theirs]
            if key not in own:
                continue
            if missing := [name for name in names if name not in state]:
                raise UserError(
                    f"The weights have no {missing[0]}, which a network so configured has: is the "
                    "configuration theirs?"
                )
            value = torch.cat([state[name] for name in names])
            if value.flatten(1 if value.ndim > 1 else 0).shape != _rows(own[key]).shape:
                raise UserError(
                    f"{' and '.join(names)} make a tensor of shape {tuple(value.shape)}, where a "
                    f"network so configured has {tuple(own[key].shape)}: is the configuration "
                    "theirs?"
                )
            filled[key] = value.reshape(own[key].shape)
            used.update(names)
    if left := sorted(set(state) - used):
        raise UserError(
            f"hush's U-Net has no place for {left[0]} ({len(left)} such in all): is it the "
            "network of that configuration?"
        )
    network.load_state_dict(filled)
    return network.eval()


def _rows(tensor: Tensor) -> Tensor:
    return tensor.flatten(1) if tensor.ndim > 1 else tensor


def write(network: UNet, places: Iterable[Place]) -> dict[str, Tensor]:
    """The network's weights under their names."""
    own, state = network.state_dict(), {}
    for ours, theirs in places:
        for kind in ("weight", "bias"):
            if f"{ours}.{kind}" in own:
                parts = own[f"{ours}.{kind}"].chunk(len(theirs))
                for name, part in zip(theirs, parts, strict=True):
                    state[f"{name}.{kind}"] = part.detach().clone()
    return state
