"""Networks: they know no schedule and no loss."""

from hush.networks.autoencoder import VAE, Autoencoder
from hush.networks.backbone import Backbone
from hush.networks.blocks import Style
from hush.networks.compiled import compiled
from hush.networks.conditions import Features, Labels
from hush.networks.controls import Controls
from hush.networks.critic import PatchCritic
from hush.networks.dit import DiT
from hush.networks.dropout import Dropout, positioned
from hush.networks.energy import Gradient
from hush.networks.features import features, places
from hush.networks.precision import Precision, lowered, suits
from hush.networks.quantised import VQVAE
from hush.networks.recompute import blocks, recomputed
from hush.networks.recurrent import Recurrent
from hush.networks.state_space import StateSpace
from hush.networks.structured import Structured
from hush.networks.tokens import Nominal, Ordinal, TokenNetwork
from hush.networks.two_axis import TwoAxis
from hush.networks.unet import UNet

__all__ = [
    "VAE",
    "VQVAE",
    "Autoencoder",
    "Backbone",
    "Controls",
    "DiT",
    "Dropout",
    "Features",
    "Gradient",
    "Labels",
    "Nominal",
    "Ordinal",
    "PatchCritic",
    "Precision",
    "Recurrent",
    "StateSpace",
    "Structured",
    "Style",
    "TokenNetwork",
    "TwoAxis",
    "UNet",
    "blocks",
    "compiled",
    "features",
    "lowered",
    "places",
    "positioned",
    "recomputed",
    "suits",
]
