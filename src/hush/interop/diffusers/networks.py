"""`UNet2DModel` of diffusers as hush's U-Net, and back: every weight, under either name."""

from collections.abc import Iterator
from typing import Any

from torch import Tensor

from hush.interop.diffusers import configs, describe
from hush.interop.diffusers.configs import Config
from hush.interop.layouts import Place, State, inside, read, write
from hush.networks import UNet
from hush.networks.blocks import Residual

RESIDUAL = {
    "norm_in": ("norm1",),
    "conv_in": ("conv1",),
    "steer": ("time_emb_proj",),
    "norm_out": ("norm2",),
    "conv_out": ("conv2",),
    "shortcut": ("conv_shortcut",),
}
ATTENTION = {"norm": ("group_norm",), "qkv": ("to_q", "to_k", "to_v"), "out": ("to_out.0",)}
LINEAR = tuple(f".{name}.weight" for name in (*ATTENTION["qkv"], *ATTENTION["out"]))
OLDER = {".query.": ".to_q.", ".key.": ".to_k.", ".value.": ".to_v.", ".proj_attn.": ".to_out.0."}
ENDS = [
    ("embedding.first", ("time_embedding.linear_1",)),
    ("embedding.second", ("time_embedding.linear_2",)),
    ("embedding.condition.table", ("class_embedding",)),
    ("stem", ("conv_in",)),
    ("norm", ("conv_norm_out",)),
    ("head", ("conv_out",)),
]


def unet_from_diffusers(config: Config, state: State, absent: bool = False) -> UNet:
    """hush's U-Net with the configuration and weights of a `UNet2DModel`: the same answers.

    config   what stands in unet/config.json
    state    its tensors, as in unet/diffusion_pytorch_model.safetensors
    absent   whether the last of the classes was trained to mean "no class"

    Raises:
        UserError: an option that hush has no equivalent of; weights that do not fit.
    """
    known = configs.known(config)
    network = configs.empty(known, absent)
    state = {_newer(name): tensor for name, tensor in state.items()}
    read(network, _places(network), state)
    if not known["flip_sin_to_cos"]:
        first = network.embedding.first.weight.data
        first.copy_(first.roll(first.shape[1] // 2, 1))
    return network


def unet_to_diffusers(network: UNet) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """(config, state) of the `UNet2DModel` that gives the same answers. Its classes, if it has any,
    are hush's in their order, with "no class" for the last.

    Raises:
        UserError: the network has what `UNet2DModel` has not.
    """
    config = describe.config(network)
    state = write(network, _places(network))
    linear = {name: t.flatten(1) for name, t in state.items() if name.endswith(LINEAR)}
    return config, state | linear


def _newer(name: str) -> str:
    """The name of a weight today: attention's were other ones once."""
    for old, new in OLDER.items():
        name = name.replace(old, new)
    return name


def _places(network: UNet) -> Iterator[Place]:
    yield from ENDS
    for way in ("down", "up"):
        for level, stage in enumerate(getattr(network, way)):
            ours, theirs = f"{way}.{level}", f"{way}_blocks.{level}"
            for i in range(len(stage.blocks)):
                yield from inside(f"{ours}.blocks.{i}.residual", f"{theirs}.resnets.{i}", RESIDUAL)
                yield from inside(
                    f"{ours}.blocks.{i}.attention", f"{theirs}.attentions.{i}", ATTENTION
                )
            resize = f"{theirs}.{way}samplers.0"
            if isinstance(stage.resize, Residual):
                yield from inside(f"{ours}.resize", resize, RESIDUAL)
            else:
                own = f"{ours}.resize.conv" if hasattr(stage.resize, "conv") else f"{ours}.resize"
                yield own, (f"{resize}.conv",)
    for i in range(2):
        yield from inside(f"middle.{i}.residual", f"mid_block.resnets.{i}", RESIDUAL)
    yield from inside("middle.0.attention", "mid_block.attentions.0", ATTENTION)
