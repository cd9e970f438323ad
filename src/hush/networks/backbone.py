"""A network for a shape, from a handful of numbers: what the systems' command lines share."""

from dataclasses import dataclass
from typing import Literal

from torch import nn

from hush.errors import UserError
from hush.networks.conditions import Labels
from hush.networks.dit import DiT
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

    def __post_init__(self) -> None:
        for name in ("width", "blocks", "depth", "patch", "head"):
            if getattr(self, name) < 1:
                raise UserError(f"--{name} must be at least 1, got {getattr(self, name)}.")
        if not self.multipliers or min(self.multipliers) < 1:
            raise UserError(f"--multipliers must be positive numbers, got {self.multipliers}.")
        if self.width % 2:
            raise UserError(f"--width must be even, got {self.width}.")

    def build(self, shape: tuple[int, ...], classes: int = 0) -> nn.Module:
        """The network for events of `shape` (channel, *space), told of `classes` if there are."""
        condition = Labels(classes, 4 * self.width) if classes else None
        shared = {
            "channels": shape[0],
            "width": self.width,
            "head": self.head,
            "dropout": self.dropout,
            "dims": len(shape) - 1,
            "condition": condition,
        }
        if self.network == "dit":
            return DiT(**shared, depth=self.depth, patch=self.patch)
        return UNet(
            **shared, multipliers=self.multipliers, blocks=self.blocks, attention=self.attention
        )
