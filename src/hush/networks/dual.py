"""Pictures and captions in one space, where those that belong together lie close."""

import math
import re
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn import functional

from hush.errors import UserError, nearest
from hush.networks.trunk import trunk

LONGEST = 32  # words of a caption
LOUDEST = math.log(100.0)  # of the scale, as CLIP clips it

Pictures = Float[Tensor, "picture channel height width"]
Unit = Float[Tensor, "_ feature"]


class DualEncoder(nn.Module):
    """A tower that reads pictures and one that reads captions, to unit vectors of `width` numbers:

    similarity(x, y) = ⟨picture(x), caption(y)⟩/τ, the logit, in nats, of y being the caption of x.

    Pictures are (batch, *shape) in [0, 1]. A caption is text of at most 32 `words`, which are told
    apart by what they are spelt with and not by their case; their order counts. τ is learned.
    Radford et al. 2021, "Learning transferable visual models from natural language supervision"
    (CLIP). Raises `UserError` for pictures under 4x4, and for captions that it cannot read.
    """

    def __init__(self, shape: Sequence[int], words: Sequence[str], width: int = 64) -> None:
        super().__init__()
        self.settings: dict[str, Any] = {
            "shape": tuple(shape),
            "words": tuple(words),
            "width": width,
        }
        self.number = {word: number for number, word in enumerate(words, 1)}
        self.see = nn.Sequential(trunk(tuple(shape), width), nn.Linear(4 * width, width), nn.ReLU())
        self.read = Reading(len(words), width)
        self.seen, self.said = (nn.Linear(width, width, bias=False) for _ in range(2))
        self.log_scale = nn.Parameter(torch.tensor(math.log(1.0 / 0.07)))

    def pictures(self, pictures: Pictures) -> Unit:
        """Unit vectors of pictures."""
        return functional.normalize(self.seen(self.see(2.0 * pictures - 1.0)), dim=1)

    def captions(self, captions: Sequence[str]) -> Unit:
        """Unit vectors of captions."""
        return functional.normalize(self.said(self.read(self.tokens(captions))), dim=1)

    def similarity(self, pictures: Unit, captions: Unit) -> Float[Tensor, "_ _"]:
        """Of every picture with every caption, as unit vectors: their cosines over τ."""
        return self.log_scale.clamp(max=LOUDEST).exp() * pictures @ captions.T

    def tokens(self, captions: Sequence[str]) -> Int64[Tensor, "caption place"]:
        """The numbers of the words of each caption, from 1; 0 where there is none."""
        rows = [self._numbered(caption) for caption in captions]
        longest = max(map(len, rows))
        padded = [row + [0] * (longest - len(row)) for row in rows]
        return torch.tensor(padded, device=self.log_scale.device)

    def _numbered(self, caption: str) -> list[int]:
        words = spelt(caption)
        if not 1 <= len(words) <= LONGEST:
            raise UserError(
                f"The caption {caption!r} has {len(words)} words; expected 1 to {LONGEST}."
            )
        for word in words:
            if word not in self.number:
                hint = nearest(word, self.number)
                raise UserError(f"The encoder was taught no word {word!r}, of {caption!r}: {hint}")
        return [self.number[word] for word in words]


class Reading(nn.Module):
    """Words that have looked at each other once, and the mean of them: (caption, place) numbers to
    (caption, width)."""

    def __init__(self, words: int, width: int) -> None:
        super().__init__()
        self.table = nn.Embedding(words + 1, width, padding_idx=0)
        self.places = nn.Parameter(0.1 * torch.randn(LONGEST, width))
        self.layer = nn.TransformerEncoderLayer(
            width, 4, 2 * width, dropout=0.0, batch_first=True, norm_first=True
        )

    def forward(self, tokens: Int64[Tensor, "caption place"]) -> Float[Tensor, "caption width"]:
        x = self.table(tokens) + self.places[: tokens.shape[1]]
        missing = tokens == 0
        x = self.layer(x, src_key_padding_mask=missing)
        kept = (~missing).to(x).unsqueeze(2)
        return (kept * x).sum(1) / kept.sum(1)


def spelt(caption: str) -> list[str]:
    """The words of a caption.

    >>> spelt("A seven, on grass.")
    ['a', 'seven', 'on', 'grass']
    """
    return re.findall(r"[^\W_]+", caption.lower())


def vocabulary(captions: Iterable[str]) -> tuple[str, ...]:
    """All words of captions, in the order of the alphabet."""
    return tuple(sorted({word for caption in captions for word in spelt(caption)}))
