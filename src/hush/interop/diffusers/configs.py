"""The configuration of a `UNet2DModel`, to a U-Net of hush whose weights are yet to be read."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from hush.errors import UserError, nearest
from hush.interop.layouts import Told
from hush.networks import Labels, UNet
from hush.networks.blocks import Style

Config = Mapping[str, Any]
STEERS = {"default": "add", "scale_shift": "scale_shift"}
PADDINGS = {0: "corner", 1: "convolution"}
FIXED: Config = {  # what only its default has an equivalent of
    "center_input_sample": False,
    "time_embedding_type": "positional",
    "time_embedding_dim": None,
    "mid_block_type": "UNetMidBlock2D",
    "mid_block_scale_factor": 1,
    "act_fn": "silu",
    "class_embed_type": None,
    "num_train_timesteps": None,
}
DEFAULTS: Config = FIXED | {
    "sample_size": None,
    "in_channels": 3,
    "out_channels": 3,
    "freq_shift": 0,
    "flip_sin_to_cos": True,
    "down_block_types": ("DownBlock2D",) + 3 * ("AttnDownBlock2D",),
    "up_block_types": 3 * ("AttnUpBlock2D",) + ("UpBlock2D",),
    "block_out_channels": (224, 448, 672, 896),
    "layers_per_block": 2,
    "downsample_padding": 1,
    "downsample_type": "conv",
    "upsample_type": "conv",
    "dropout": 0.0,
    "attention_head_dim": 8,
    "norm_num_groups": 32,
    "attn_norm_num_groups": None,
    "norm_eps": 1e-5,
    "resnet_time_scale_shift": "default",
    "add_attention": True,
    "num_class_embeds": None,
}


class Kind(NamedTuple):
    """A type of block: whether it attends, and what it resizes by (None: as the model says)."""

    attends: bool
    resizes: str | None


KINDS = {
    "DownBlock2D": Kind(False, "conv"),
    "AttnDownBlock2D": Kind(True, None),
    "ResnetDownsampleBlock2D": Kind(False, "resnet"),
    "UpBlock2D": Kind(False, "conv"),
    "AttnUpBlock2D": Kind(True, None),
    "ResnetUpsampleBlock2D": Kind(False, "resnet"),
}


def known(config: Config) -> dict[str, Any]:
    """The configuration, whole; what hush cannot hold is refused."""
    given = {key: value for key, value in config.items() if not key.startswith("_")}
    if unknown := sorted(set(given) - set(DEFAULTS)):
        raise UserError(
            f"UNet2DModel has no option {unknown[0]!r}: {nearest(unknown[0], DEFAULTS)}"
        )
    known = {**DEFAULTS, **given}
    known["act_fn"] = "silu" if known["act_fn"] == "swish" else known["act_fn"]
    for key, only in FIXED.items():
        if known[key] != only:
            raise _refused(known, key, f"it knows {only!r} alone.")
    for key, table in (("resnet_time_scale_shift", STEERS), ("downsample_padding", PADDINGS)):
        if known[key] not in table:
            raise _refused(known, key, f"known are {', '.join(map(repr, table))}.")
    return known


def _refused(known: Config, key: str, why: str) -> UserError:
    return UserError(f"hush's U-Net has no equivalent of {key} = {known[key]!r}: {why}")


def empty(known: Config, absent: bool) -> UNet:
    """A network of that shape, its weights yet to be read."""
    widths, classes = known["block_out_channels"], known["num_class_embeds"]
    attention = _attention(known)
    table = Labels if absent else Told
    head = known["attention_head_dim"] or max(widths)
    groups, attended = known["norm_num_groups"], [widths[i] for i in attention] + [widths[-1]]
    if any(width % groups for width in widths) or widths[0] % 2:
        raise _refused(known, "block_out_channels", f"even numbers that {groups} groups divide.")
    if known["attention_head_dim"] and any(width % head for width in attended):
        raise _refused(known, "attention_head_dim", f"it must divide {attended}.")
    return UNet(
        known["in_channels"],
        widths[0],
        [width / widths[0] for width in widths],
        known["layers_per_block"],
        attention,
        head,
        known["dropout"],
        condition=table(classes - absent, 4 * widths[0]) if classes else None,
        out_channels=known["out_channels"],
        style=_style(known),
    )


def _style(known: Config) -> Style:
    half, steer = known["block_out_channels"][0] // 2, STEERS[known["resnet_time_scale_shift"]]
    if half == known["freq_shift"]:
        raise _refused(known, "freq_shift", f"it divides by {half} less that.")
    groups = known["norm_num_groups"]
    middle = known["attn_norm_num_groups"] or (groups if steer == "add" else None)
    if middle not in (None, groups):
        raise _refused(known, "attn_norm_num_groups", f"it must be norm_num_groups, {groups}.")
    return Style(
        groups=groups,
        eps=known["norm_eps"],
        steer=steer,
        middle=("attend" if middle else "bare") if known["add_attention"] else "none",
        resize=_resize(known),
        period=10_000.0 ** (half / (half - known["freq_shift"])),
        shortcut=False,
    )


def _kinds(known: Config, way: str) -> list[Kind]:
    """The kinds of blocks on one way, "down" or "up", from the full resolution on."""
    key = f"{way}_block_types"
    for name in known[key]:
        if name not in KINDS:
            raise _refused(known, key, f"known are {', '.join(KINDS)}.")
    if len(known[key]) != len(known["block_out_channels"]):
        raise _refused(known, key, "there must be one for each of block_out_channels.")
    kinds = [KINDS[name] for name in known[key]]
    return kinds if way == "down" else kinds[::-1]


def _attention(known: Config) -> list[int]:
    """The resolutions with attention."""
    down, up = ([kind.attends for kind in _kinds(known, way)] for way in ("down", "up"))
    if down != up:
        raise _refused(known, "up_block_types", "attention is at the same resolutions both ways.")
    return [level for level, attends in enumerate(down) if attends]


def _resize(known: Config) -> str:
    """How resolutions change: the same way everywhere."""
    down = [kind.resizes or known["downsample_type"] for kind in _kinds(known, "down")[:-1]]
    up = [kind.resizes or known["upsample_type"] for kind in _kinds(known, "up")[1:]]
    ways = set(down + up) or {"conv"}
    if len(ways) > 1 or not ways <= {"conv", "resnet"}:
        why = "all resolutions change by convolutions ('conv'), or all by 'resnet' blocks."
        raise _refused(known, "downsample_type", why)
    return "residual" if "resnet" in ways else PADDINGS[known["downsample_padding"]]
