"""What a network makes of its input inside: the maps of its inner blocks, by name.

    U-Net   down.LEVEL.BLOCK   middle.BLOCK   up.STAGE.BLOCK     down.0 and the last up at full size
    DiT     layer.NUMBER

Every number counts from 0 in the order of computing, so `up.0.0` is the first block after the
middle. Names mean the same through whatever a network is wrapped in.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from hush.errors import UserError, nearest
from hush.networks.dit import DiT
from hush.networks.layers import Map, Mapped
from hush.networks.unet import UNet

SMOOTH = {1: "linear", 2: "bilinear", 3: "trilinear"}


class Place(NamedTuple):
    """An inner block, and the side, in pixels of the input, of one place of its map."""

    block: nn.Module
    stride: int


def places(network: nn.Module) -> dict[str, Place]:
    """The inner blocks of a network, in the order of computing.

    Raises `UserError` for a network that is, and wraps, neither a U-Net nor a DiT.
    """
    body = _body(network)
    if isinstance(body, DiT):
        return {f"layer.{n}": Place(layer, body.patch) for n, layer in enumerate(body.layers)}
    last = len(body.down) - 1
    stages = [(f"down.{n}", stage.blocks, 2**n) for n, stage in enumerate(body.down)]
    stages += [("middle", body.middle, 2**last)]
    stages += [(f"up.{n}", stage.blocks, 2 ** (last - n)) for n, stage in enumerate(body.up)]
    return {
        f"{stage}.{number}": Place(block, stride)
        for stage, blocks, stride in stages
        for number, block in enumerate(blocks)
    }


def telling(network: nn.Module) -> tuple[str, ...]:
    """The names that tell most of what is in a picture, for a start: the last block of every stage
    on a U-Net's way up; a DiT's layers at a quarter, half and three quarters of its depth."""
    names = list(places(network))
    if isinstance(_body(network), DiT):
        return tuple(dict.fromkeys(names[len(names) * part // 4] for part in (1, 2, 3)))
    ends = {name.rpartition(".")[0]: name for name in names if name.startswith("up.")}
    return tuple(ends.values())


@contextmanager
def features(network: nn.Module, names: Sequence[str]) -> Iterator[dict[str, Map]]:
    """Within it every forward of `network` leaves the maps of the named blocks, (batch, channel,
    *space), in the dictionary: the very tensors that the network goes on with, those of a DiT put
    back in rows and columns. Sides that the network padded stay so (`at_pixels` crops them).

    Raises `UserError` for a name that the network does not have.
    """
    known, body = places(network), _body(network)
    found: dict[str, Map] = {}
    grid: list[torch.Size] = []  # of a DiT's tokens, as its stem has it

    def keep(name: str) -> Any:
        def hook(block: nn.Module, given: Any, answer: Tensor) -> None:
            found[name] = answer.mT.unflatten(2, grid[-1]) if isinstance(body, DiT) else answer

        return hook

    def measure(stem: nn.Module, given: Any, answer: Tensor) -> None:
        grid[:] = [answer.shape[2:]]

    with ExitStack() as hooks:
        hooks.callback(body.stem.register_forward_hook(measure).remove)
        for name in names:
            if name not in known:
                raise UserError(f"The network has no inner block {name!r}: {nearest(name, known)}")
            hooks.callback(known[name].block.register_forward_hook(keep(name)).remove)
        yield found


def at_pixels(x: Map, stride: int, size: torch.Size) -> Mapped:
    """A map spread smoothly over an input of this size: (batch, channel, *size)."""
    if stride > 1:
        x = functional.interpolate(x, scale_factor=float(stride), mode=SMOOTH[x.ndim - 2])
    return x[(..., *(slice(side) for side in size))]


def _body(network: nn.Module) -> UNet | DiT:
    for part in network.modules():
        if isinstance(part, UNet | DiT):
            return part
    raise UserError(
        f"{type(network).__name__} has no inner blocks with names: expected a U-Net or a DiT, or "
        "what wraps one."
    )
