"""The U-Nets of OpenAI's improved-diffusion and guided-diffusion as hush's.

    input_blocks.i.j ─► stem, down     middle_block.i ─► middle     output_blocks.i.j ─► up

Nichol and Dhariwal 2021, "Improved denoising diffusion probabilistic models"; Dhariwal and Nichol
2021, "Diffusion models beat GANs on image synthesis".
"""

from collections.abc import Iterator
from dataclasses import dataclass

from torch import Tensor, nn

from hush.errors import UserError
from hush.interop.layouts import Place, State, Told, inside, read
from hush.networks import UNet
from hush.networks.blocks import Residual, Style

RESIDUAL = {
    "norm_in": ("in_layers.0",),
    "conv_in": ("in_layers.2",),
    "steer": ("emb_layers.1",),
    "norm_out": ("out_layers.0",),
    "conv_out": ("out_layers.3",),
    "shortcut": ("skip_connection",),
}
ATTENTION = {"norm": ("norm",), "qkv": ("qkv",), "out": ("proj_out",)}
ENDS = [
    ("embedding.first", ("time_embed.0",)),
    ("embedding.second", ("time_embed.2",)),
    ("embedding.condition.table", ("label_emb",)),
    ("stem", ("input_blocks.0.0",)),
    ("norm", ("out.0",)),
    ("head", ("out.2",)),
]
GROUPS, EPS = 32, 1e-5


@dataclass(frozen=True)
class Heads:
    """So many heads, or heads of so many channels where that is positive."""

    count: int
    channels: int

    def of(self, width: int) -> int:
        """The heads of an attention over `width` channels."""
        heads, rest = divmod(width, self.channels) if self.channels > 0 else (self.count, 0)
        if rest or width % heads:
            raise UserError(
                f"An attention of {width} channels cannot have num_heads = {self.count}, "
                f"num_head_channels = {self.channels}: give the flags it was trained with."
            )
        return heads


def unet_from_openai(
    state: State,
    num_heads: int = 4,
    num_head_channels: int = -1,
    use_new_attention_order: bool = False,
    dropout: float = 0.0,
) -> UNet:
    """hush's U-Net with the weights of one of theirs: the same answers to (x, step, class).

    The weights tell the rest of their flags. With `learn_sigma` the answer has twice the channels:
    the noise, then how the variance lies between β̃ and β (`variances.Interpolated`).

    Args:
        state: their state dict.
        num_heads: heads of every attention.
        num_head_channels: channels of every head; -1 leaves it at `num_heads`.
        use_new_attention_order: query, key and value stand together for all heads in the weights,
            not for each head.
        dropout: for training on.

    Raises:
        UserError: weights of another network, or flags that do not fit them.
    """
    heads, ways_up = Heads(num_heads, num_head_channels), _ways_up(state)
    stem, labels = state["input_blocks.0.0.weight"], state.get("label_emb.weight")
    widths = [len(state[f"{stage[0]}.0.out_layers.3.weight"]) for stage in ways_up]
    attention = [i for i, stage in enumerate(ways_up) if f"{stage[0]}.1.qkv.weight" in state]
    heads.of(widths[-1])
    network = UNet(
        stem.shape[1],
        stem.shape[0],
        [width / stem.shape[0] for width in widths],
        len(ways_up[0]) - 1,
        attention,
        head=num_head_channels if num_head_channels > 0 else max(widths),
        dropout=dropout,
        dims=stem.ndim - 2,
        condition=None if labels is None else Told(*labels.shape),
        out_channels=len(state["out.2.weight"]),
        style=_style(state, None if num_head_channels > 0 else num_heads),
    )
    if not use_new_attention_order:
        state = {name: _together(name, tensor, heads) for name, tensor in state.items()}
    return read(network, _places(network), state)


def _ways_up(state: State) -> list[list[str]]:
    """The names of the output blocks of each resolution, the full one first."""
    stages: list[list[str]] = [[]]
    for name in _numbered(state, "output_blocks"):
        stages[-1].append(name)
        if any(key.startswith(_resizes(state, name)) for key in state):
            stages.append([])
    blocks, inputs = len(stages[-1]), len(_numbered(state, "input_blocks"))
    if blocks < 2 or any(len(s) != blocks for s in stages) or inputs != blocks * len(stages):
        raise UserError(
            "These are not the weights of a U-Net of improved-diffusion or guided-diffusion: its "
            f"{sum(map(len, stages))} output_blocks and {inputs} input_blocks do not mirror each "
            "other. (Without conv_resample resizing leaves no weights: hush has no equivalent.)"
        )
    return stages[::-1]


def _numbered(state: State, way: str) -> list[str]:
    found = {int(name.split(".")[1]) for name in state if name.startswith(f"{way}.")}
    return [f"{way}.{i}" for i in sorted(found)]


def _resizes(state: State, block: str) -> str:
    """How the names begin of what resizes after an output block, if something does."""
    return f"{block}.{2 if f'{block}.1.qkv.weight' in state else 1}."


def _style(state: State, heads: int | None) -> Style:
    steer = len(state["middle_block.0.emb_layers.1.weight"])
    adds = steer == len(state["middle_block.0.out_layers.3.weight"])
    inputs = _numbered(state, "input_blocks")
    convolves = any(f"{name}.0.op.weight" in state for name in inputs)
    return Style(
        groups=GROUPS,
        eps=EPS,
        steer="add" if adds else "scale_shift",
        heads=heads,
        middle="attend",
        resize="convolution" if convolves else "residual",
        waves=state["time_embed.0.weight"].shape[1],
        shortcut=False,
    )


def _together(name: str, tensor: Tensor, heads: Heads) -> Tensor:
    """Rows that stand by head, then query, key and value, in the other order of the two."""
    if ".qkv." not in name:
        return tensor
    split = tensor.unflatten(0, (heads.of(len(tensor) // 3), 3, -1))
    return split.transpose(0, 1).flatten(0, 2)


def _places(network: UNet) -> Iterator[Place]:
    yield from ENDS
    for i, theirs in ((0, "middle_block.0"), (1, "middle_block.2")):
        yield from inside(f"middle.{i}.residual", theirs, RESIDUAL)
    yield from inside("middle.0.attention", "middle_block.1", ATTENTION)
    for way, theirs, place in (("down", "input_blocks", 1), ("up", "output_blocks", 0)):
        for level, stage in enumerate(getattr(network, way)):
            for i in range(len(stage.blocks)):
                ours = f"{way}.{level}.blocks.{i}"
                yield from inside(f"{ours}.residual", f"{theirs}.{place}.0", RESIDUAL)
                yield from inside(f"{ours}.attention", f"{theirs}.{place}.1", ATTENTION)
                place += 1
            if stage.resize is None:
                continue
            if way == "down":
                yield from _resize(f"down.{level}.resize", f"{theirs}.{place}.0", stage.resize)
                place += 1
            else:
                after = 1 if stage.blocks[-1].attention is None else 2
                name = f"{theirs}.{place - 1}.{after}"
                yield from _resize(f"up.{level}.resize", name, stage.resize)


def _resize(ours: str, theirs: str, module: nn.Module) -> Iterator[Place]:
    if isinstance(module, Residual):
        yield from inside(ours, theirs, RESIDUAL)
    else:
        yield ours, (f"{theirs}.op",)  # the way down
        yield f"{ours}.conv", (f"{theirs}.conv",)  # the way up
