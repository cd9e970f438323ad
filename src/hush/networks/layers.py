"""The operations networks spend their time in, each in its fastest exact form, for 1, 2 or 3
spatial dimensions. `docs/performance.md` has what each of them gains."""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

Map = Float[Tensor, "batch channel *space"]
Mapped = Float[Tensor, "batch out *place"]  # a map of other channels, or of another size
Vector = Float[Tensor, "batch feature"]

CONVOLUTIONS = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}
_TRANSPOSED = {
    1: functional.conv_transpose1d,
    2: functional.conv_transpose2d,
    3: functional.conv_transpose3d,
}
NEAR = 64  # places whose table of all pairs costs a processor nothing to speak of


def convolution(
    dims: int, channels: int, out: int, kernel: int = 3, stride: int = 1, zero: bool = False
) -> nn.Module:
    """A convolution that keeps the size (divided by `stride`); `zero` starts it silent, so that a
    residual branch begins as the identity."""
    layer = CONVOLUTIONS[dims](channels, out, kernel, stride=stride, padding=kernel // 2)
    if zero:
        nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


class GroupNorm(nn.GroupNorm):
    """Group normalisation, and after it, in the same pass, (1 + scale)·y + shift."""

    def forward(self, x: Map, scale: Vector | None = None, shift: Vector | None = None) -> Map:
        """`scale` and `shift` are (batch, channel): a sample's own weights of every channel, so
        the samples are made channels of one and their groups normalised as ever."""
        if scale is None or shift is None:
            return super().forward(x)
        weight = self.weight * (1.0 + scale)
        bias = self.bias * (1.0 + scale) + shift
        # Only on the CPU do maps of half precision take weights of full precision.
        weight, bias = (w.flatten() if x.is_cpu else w.flatten().to(x) for w in (weight, bias))
        folded = x.reshape(1, len(weight), *x.shape[2:])
        groups = len(x) * self.num_groups
        return functional.group_norm(folded, groups, weight, bias, self.eps).view(x.shape)


def attend(
    query: Float[Tensor, "batch head feature place"],
    key: Float[Tensor, "batch head feature place"],
    value: Float[Tensor, "batch head channel place"],
) -> Float[Tensor, "batch head channel place"]:
    """softmax(qᵀk/√features) over the places, times v.

    Vaswani et al. 2017, "Attention is all you need", section 3.2. On the CPU two batched products
    are up to twice as fast as the fused kernel while their table of all pairs of places is small,
    or next to the work that the features are: 16 places a feature in half precision, 2 in full.
    """
    features, places = query.shape[-2:]
    reach = 2 if query.dtype == torch.float32 else 16
    if query.is_cpu and places <= max(NEAR, reach * features):
        # Keys before queries: so no table of pairs is ever copied to be transposed.
        pairs = key.mT @ (query * features**-0.5)
        return value @ pairs.softmax(-2)
    # The fused kernel is one of places whose features lie side by side, and of no others.
    rows = (part.mT.contiguous() for part in (query, key, value))
    return functional.scaled_dot_product_attention(*rows).mT


def resampled(x: Map, scale: float) -> Mapped:
    """Half the size by averages, or twice the size by repetition."""
    return functional.interpolate(x, scale_factor=scale, mode="area" if scale < 1.0 else "nearest")


def projected(conv: nn.Module, x: Map) -> Mapped:
    """`conv(x)` for a convolution of one place: on the CPU a product for every sample, which needs
    no other order of the channels."""
    if not x.is_cpu:
        return conv(x)
    weight = conv.weight.flatten(1).expand(len(x), -1, -1)
    return torch.baddbmm(conv.bias[:, None], weight, x.flatten(2)).unflatten(2, x.shape[2:])


def twice(conv: nn.Module, x: Map) -> Mapped:
    """`conv(resampled(x, 2.0))` for a convolution of three places a side, of fewer products.

    In what is repeated, two of a kernel's three places fall on one value. So it is a transposed
    convolution of stride 2 with the kernel (w₂, w₁ + w₂, w₀ + w₁, w₀) along every axis: 2 products
    a side in place of 3, and the repeated map is never made.
    """
    dims = x.ndim - 2
    kernel = conv.weight.transpose(0, 1)
    for _ in range(dims):
        kernel = kernel.movedim(2, -1).flip(-1)
        kernel = functional.pad(kernel, (0, 1)) + functional.pad(kernel, (1, 0))
    return _TRANSPOSED[dims](x, kernel, conv.bias, stride=2, padding=1)
