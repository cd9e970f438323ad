"""Networks: they know no schedule and no loss."""

from hush.networks.backbone import Backbone
from hush.networks.conditions import Features, Labels
from hush.networks.dit import DiT
from hush.networks.unet import UNet

__all__ = ["Backbone", "DiT", "Features", "Labels", "UNet"]
