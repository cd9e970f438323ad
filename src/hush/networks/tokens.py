"""Networks over tokens: any network over maps, with a face that reads tokens and says logits.

    tokens ─ face.read ─ map ─ body(map, clock, cond) ─ map ─ face.say ─ logits

Events are (channel, *space), pictures of grey levels, or (length,), a text. Tokens are 0 … K - 1;
a mask, where there is one, is the state K.
"""

from abc import ABC, abstractmethod

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn import functional

from hush.networks.backbone import Backbone

Tokens = Int64[Tensor, "batch channel *space"]
Map = Float[Tensor, "batch feature *space"]
Logits = Float[Tensor, "batch channel *space token"]


class Face(nn.Module, ABC):
    """How tokens become the features of a map, and the features of an answer logits. `features` is
    how many there are for each token, the same on both sides."""

    features: int

    @abstractmethod
    def read(self, x: Tokens) -> Map:
        """Features of the tokens of every channel: (batch, channel·features, *space)."""

    @abstractmethod
    def say(self, answer: Map, x: Tokens) -> Logits:
        """Logits of the tokens that may be behind x."""


class Nominal(Face):
    """Tokens without an order: a learned vector each, the mask's too, and free logits."""

    def __init__(self, tokens: int) -> None:
        super().__init__()
        self.features = tokens
        self.table = nn.Embedding(tokens + 1, tokens)

    def read(self, x: Tokens) -> Map:
        return self.table(x).movedim(-1, 2).flatten(1, 2)

    def say(self, answer: Map, x: Tokens) -> Logits:
        return answer.unflatten(1, (x.shape[1], self.features)).movedim(2, -1)


class Ordinal(Face):
    """Tokens in a row, such as grey levels: their values v in [-1, 1] (0 for a mask, and a second
    feature that says so), and a logistic law around each, cut off at the ends:

    p(k) ∝ S((v_k + w/2 - m)/b) - S((v_k - w/2 - m)/b), m = tanh(v + first), b = exp(second - 2),
    with the sigmoid S, the spacing w of the values and the two answers of the network. So near
    values share their mass. Austin et al. 2021 (D3PM), appendix A, after Salimans et al. 2017,
    "PixelCNN++".
    """

    def __init__(self, tokens: int) -> None:
        super().__init__()
        self.tokens, self.features = tokens, 2

    def read(self, x: Tokens) -> Map:
        return torch.cat((self._values(x), (x == self.tokens).float()), 1)

    def say(self, answer: Map, x: Tokens) -> Logits:
        shift, log_width = answer.float().chunk(2, 1)
        middle = (self._values(x) + shift).tanh().unsqueeze(-1)
        sharpness = (2.0 - log_width).exp().unsqueeze(-1)
        half = 1.0 / (self.tokens - 1)
        apart = torch.linspace(-1.0, 1.0, self.tokens, device=x.device) - middle
        # S(a) - S(b) = S(a) S(-b) (1 - exp(b - a)), and a - b is the same for every value
        above, below = sharpness * (apart + half), sharpness * (apart - half)
        return functional.logsigmoid(above) + functional.logsigmoid(-below)

    def _values(self, x: Tokens) -> Float[Tensor, "batch channel *space"]:
        value = x.float() * (2.0 / (self.tokens - 1)) - 1.0
        return torch.where(x == self.tokens, 0.0, value)


class TokenNetwork(nn.Module):
    """(batch, *event) tokens, a clock (batch,) and a condition to logits (batch, *event, K), by a
    `body` from channel·face.features features to as many."""

    def __init__(self, body: nn.Module, face: Face) -> None:
        super().__init__()
        self.body, self.face = body, face

    @classmethod
    def of(
        cls, backbone: Backbone, shape: tuple[int, ...], face: Face, classes: int = 0
    ) -> "TokenNetwork":
        """On a backbone, for events of `shape`."""
        channels, *space = shape if len(shape) > 1 else (1, *shape)
        return cls(backbone.build((channels * face.features, *space), classes), face)

    def forward(
        self,
        x: Int64[Tensor, " batch *event"],
        clock: Float[Tensor, " batch"],
        cond: Tensor | None = None,
    ) -> Float[Tensor, "batch *event token"]:
        maps = x if x.ndim > 2 else x.unsqueeze(1)
        read = self.face.read(maps)
        logits = self.face.say(self.body(read, clock, cond), maps)
        return logits if x.ndim > 2 else logits.squeeze(1)
