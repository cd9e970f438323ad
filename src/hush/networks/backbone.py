"""A network for a shape, from a handful of numbers: what the systems' command lines share."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from torch import nn

from hush.errors import UserError
from hush.networks.blocks import Style
from hush.networks.conditions import Features, Labels
from hush.networks.dit import DiT
from hush.networks.given import Conditions, GivenPicture
from hush.networks.unet import UNet


@dataclass(frozen=True)
class Backbone:
    """Which network, and how large. The defaults are DDPM's for 32×32 pictures; with steering by
    scale and shift they make 38.3 M weights for colour."""

    network: Literal["unet", "dit"] = "unet"
    """A convolutional U-Net, or a transformer over patches."""
    width: int = 128
    """Channels of the first resolution (U-Net) or of every token (DiT)."""
    multipliers: tuple[int, ...] = (1, 2, 2, 2)
    """U-Net: width of each resolution, in units of `width`; each halves the picture."""
    blocks: int = 2
    """U-Net: residual blocks per resolution."""
    attention: tuple[int, ...] = (1,)
    """U-Net: the resolutions with attention; 0 is the full one."""
    depth: int = 12
    """DiT: layers."""
    patch: int = 2
    """DiT: side of a patch."""
    head: int = 64
    """Channels of an attention head."""
    dropout: float = 0.1
    """Share of activations dropped in training."""
    plain: bool = False
    """U-Net: nothing that UNet2DModel of diffusers has not, so that it can be exported."""

    def __post_init__(self) -> None:
        for name in ("width", "blocks", "depth", "patch", "head"):
            if getattr(self, name) < 1:
                raise UserError(f"--{name} must be at least 1, got {getattr(self, name)}.")
        if not self.multipliers or min(self.multipliers) < 1:
            raise UserError(f"--multipliers must be positive numbers, got {self.multipliers}.")
        if self.width % 2:
            raise UserError(f"--width must be even, got {self.width}.")
        if self.plain and (self.network != "unet" or self.multipliers[0] != 1):
            raise UserError(
                "--plain is for U-Nets whose first multiplier is 1, got --network "
                f"{self.network} --multipliers {self.multipliers}: change these, or leave it out."
            )

    def build(
        self,
        shape: tuple[int, ...],
        classes: int = 0,
        out_channels: int | None = None,
        given: int = 0,
        features: Mapping[str, int] | None = None,
        encoder: nn.Module | None = None,
    ) -> nn.Module:
        """The network for events of `shape` (channel, *space), told of `classes` if there are, to
        as many channels or `out_channels`. With `given` it sees a picture of as many channels as
        well, the part "picture" of its condition (or what an `encoder` makes of it), and of the
        condition's other parts the `features` (how many numbers each has)."""
        if given:
            parts = {name: Features(n, 4 * self.width) for name, n in (features or {}).items()}
            condition = Conditions(parts) if parts else None
            shape, out = (shape[0] + given, *shape[1:]), out_channels or shape[0]
            return GivenPicture(self._built(shape, condition, out), given, encoder)
        condition = Labels(classes, 4 * self.width) if classes else None
        return self._built(shape, condition, out_channels)

    def _built(
        self, shape: tuple[int, ...], condition: nn.Module | None, out_channels: int | None
    ) -> nn.Module:
        shared = {
            "channels": shape[0],
            "width": self.width,
            "head": self.head,
            "dropout": self.dropout,
            "dims": len(shape) - 1,
            "condition": condition,
            "out_channels": out_channels,
        }
        if self.network == "dit":
            return DiT(**shared, depth=self.depth, patch=self.patch)
        shared |= self._plain() if self.plain else {}
        return UNet(
            **shared, multipliers=self.multipliers, blocks=self.blocks, attention=self.attention
        )

    def _plain(self) -> dict[str, Any]:
        """What is one number for all of a plain U-Net: the groups, and the channels of a head."""
        widths = [self.width * multiplier for multiplier in self.multipliers]
        last = len(widths) - 1
        attended = [w for i, w in enumerate(widths) if i in self.attention or i == last]
        groups = math.gcd(max(1, min(32, min(widths) // 4)), *widths)
        head = math.gcd(self.head, *attended)
        return {"head": head, "style": Style(groups=groups, shortcut=False)}
