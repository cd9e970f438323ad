"""The configuration of the `UNet2DModel` that a U-Net of hush is."""

import math
from typing import Any

from torch import nn

from hush.errors import UserError
from hush.interop.diffusers.configs import DEFAULTS, KINDS, Kind
from hush.interop.layouts import Told
from hush.networks import Labels, UNet
from hush.networks.blocks import Attention


def config(network: UNet) -> dict[str, Any]:
    """The configuration that makes a `UNet2DModel` of this network.

    Raises:
        UserError: the network has what `UNet2DModel` has not.
    """
    stages, across = network.down, network.middle[0].attention
    widths = [stage.blocks[0].residual.conv_in.out_channels for stage in stages]
    attends = [stage.blocks[0].attention is not None for stage in stages]
    adds = network.style.steer == "add"
    _check(network, widths)
    groups = _groups(network)
    resnet = network.style.resize == "residual"
    names = {kind: name for name, kind in KINDS.items() if "Down" in name}
    types = [names[Kind(a, None if a else "resnet" if resnet else "conv")] for a in attends]
    return {
        **DEFAULTS,
        "_class_name": "UNet2DModel",
        "in_channels": network.stem.in_channels,
        "out_channels": network.head.out_channels,
        "freq_shift": _shift(network),
        "down_block_types": types,
        "up_block_types": [name.replace("Down", "Up") for name in reversed(types)],
        "block_out_channels": widths,
        "layers_per_block": len(stages[0].blocks),
        "downsample_padding": 0 if network.style.resize == "corner" else 1,
        "downsample_type": "resnet" if resnet else "conv",
        "upsample_type": "resnet" if resnet else "conv",
        "dropout": network.middle[0].residual.dropout.p,
        "attention_head_dim": _head(network),
        "norm_num_groups": groups,
        "attn_norm_num_groups": None if network.style.middle == "bare" else groups,
        "norm_eps": network.style.eps,
        "resnet_time_scale_shift": "default" if adds else "scale_shift",
        "add_attention": across is not None,
        "num_class_embeds": _classes(network),
    }


def _check(network: UNet, widths: list[int]) -> None:
    style = network.style
    refusals = {
        "the shortcut from input to output": network.shortcut is not None,
        "a network of other than two dimensions": not isinstance(network.stem, nn.Conv2d),
        "a first multiplier that is not 1": widths[0] != network.stem.out_channels,
        "a clock of another width": style.waves not in (None, widths[0]),
        "attention without a norm where the embedding is added": style.middle == "bare"
        and style.steer == "add",
    }
    for what, found in refusals.items():
        if found:
            raise _unlike(what)


def _unlike(what: str) -> UserError:
    return UserError(
        f"UNet2DModel of diffusers has no equivalent of {what}. A network that is to be exported "
        "is trained with --plain, Backbone(plain=True)."
    )


def _groups(network: UNet) -> int:
    groups = {norm.num_groups for norm in network.modules() if isinstance(norm, nn.GroupNorm)}
    if len(groups) > 1:
        raise _unlike(f"normalisations in {sorted(groups)} groups, each somewhere")
    return groups.pop()


def _head(network: UNet) -> int | None:
    """Channels of every head, or None where each attention has one."""
    found = [part for part in network.modules() if isinstance(part, Attention)]
    sizes = {part.out.in_channels // part.heads for part in found}
    if all(part.heads == 1 for part in found):
        return None
    if len(sizes) > 1:
        raise _unlike(f"heads of {sorted(sizes)} channels, each somewhere")
    return sizes.pop()


def _shift(network: UNet) -> int | float:
    """period = 10000^(half/(half - shift))"""
    half = network.embedding.width // 2
    shift = half * (1.0 - math.log(10_000.0) / math.log(network.embedding.period))
    return round(shift) if abs(shift - round(shift)) < 1e-9 else shift


def _classes(network: UNet) -> int | None:
    condition = network.embedding.condition
    if condition is not None and type(condition) not in (Labels, Told):
        raise _unlike(f"the condition {type(condition).__name__}; it knows classes")
    return None if condition is None else condition.table.num_embeddings
