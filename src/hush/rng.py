"""Every random draw of hush: one stream of numbers per sample, a pure function of where it stands.

A number is computed from (seed, sample, draw, element) by the counter-based generator
Philox4x32-10 (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3"). So there is no
state to save, sample i is the same whatever batch it is drawn in, and a run that resumes needs
nothing but its step. The arithmetic is on int64 tensors and runs on any device.
"""

import hashlib
import math
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int64
from torch import Tensor

_WORD = 0xFFFFFFFF
_MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
_WEYL = (0x9E3779B9, 0xBB67AE85)
_ROUNDS = 10

Words = tuple[Tensor, Tensor, Tensor, Tensor]


def philox(counter: Words, key: tuple[int, int]) -> Words:
    """Philox4x32-10: four 32-bit counter words (int64 tensors) to four random 32-bit words.

    >>> zero = torch.zeros((), dtype=torch.int64)
    >>> [f"{word.item():08x}" for word in philox((zero,) * 4, (0, 0))]
    ['6627e8d5', 'e169c58d', 'bc57ac4c', '9b00dbd8']
    """
    a, b, c, d = (word.clone() for word in torch.broadcast_tensors(*counter))
    low_key, high_key = key
    for _ in range(_ROUNDS):
        # Products of two 32-bit words wrap in int64, which leaves their 64 bits intact. What stands
        # above a word's own 32 bits only counts in a product, and is cut off before the next one.
        first, second = a.mul_(_MULTIPLIERS[0]), c.mul_(_MULTIPLIERS[1])
        a = b.bitwise_xor_(second >> 32).bitwise_xor_(low_key).bitwise_and_(_WORD)
        c = d.bitwise_xor_(first >> 32).bitwise_xor_(high_key).bitwise_and_(_WORD)
        b, d = second, first
        low_key, high_key = (low_key + _WEYL[0]) & _WORD, (high_key + _WEYL[1]) & _WORD
    return a, b.bitwise_and_(_WORD), c, d.bitwise_and_(_WORD)


def derive(seed: int, purpose: str) -> int:
    """A seed of its own for each purpose, so that training noise and samples never coincide."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{purpose}".encode()).digest()[:8], "little")


@dataclass(frozen=True)
class Streams:
    """A batch of random streams, one per sample.

    `seed` names the experiment, `index` (batch,) the samples, `draw` how many draws were spent.
    A value of this class always gives the same numbers; `next()` is the value for what follows.
    """

    seed: int
    index: Int64[Tensor, " batch"]
    draw: int = 0

    @classmethod
    def of(
        cls, seed: int, count: int, start: int = 0, device: torch.device | str | None = None
    ) -> "Streams":
        """Streams of the samples start, start + 1, ..., start + count - 1."""
        return cls(seed, torch.arange(start, start + count, device=device))

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, part: slice | list[int]) -> "Streams":
        """The streams of some of the samples: splitting a batch changes no number."""
        return replace(self, index=self.index[part])

    def next(self, draws: int = 1) -> "Streams":
        """The streams after `draws` more draws."""
        return type(self)(self.seed, self.index, self.draw + draws)

    def branch(self, purpose: str) -> "Streams":
        """Streams of their own for a purpose, from where these stand: for what needs more draws, or
        draws in another order, than one after the other."""
        return replace(self, seed=derive(self.seed, f"{purpose}/{self.draw}"), draw=0)

    def uniform(
        self, event: tuple[int, ...] = (), dtype: torch.dtype = torch.float64
    ) -> Float[Tensor, " batch *event"]:
        """Uniform numbers (batch, *event), 2⁻³² apart; strictly between 0 and 1 in float64 (in
        float32 the largest round to 1)."""
        words = torch.stack(self._words(event), -1)
        return self._shaped((words.to(dtype) + 0.5) * 2.0**-32, event)

    def normal(
        self, event: tuple[int, ...] = (), dtype: torch.dtype = torch.float32
    ) -> Float[Tensor, " batch *event"]:
        """Standard normal numbers by Box-Muller, √(-2 ln u) (cos 2πv, sin 2πv), (batch, *event)."""
        a, b, c, d = (word.to(dtype) for word in self._words(event))
        radius = torch.stack((a, c), -1).add_(0.5).mul_(2.0**-32).log_().mul_(-2.0).sqrt_()
        angle = torch.stack((b, d), -1).mul_(math.tau * 2.0**-32)
        pair = angle.cos().mul_(radius), angle.sin_().mul_(radius)
        return self._shaped(torch.stack(pair, -1), event)

    def _words(self, event: tuple[int, ...]) -> Words:
        blocks = -(-math.prod(event) // 4)
        index = self.index.unsqueeze(1)
        block = torch.arange(blocks, device=index.device).unsqueeze(0)
        draw = torch.full_like(block[:, :1], self.draw)
        counter = (block, draw, index & _WORD, (index >> 32) & _WORD)
        return philox(counter, (self.seed & _WORD, (self.seed >> 32) & _WORD))

    def _shaped(self, numbers: Tensor, event: tuple[int, ...]) -> Tensor:
        return numbers.flatten(1)[:, : math.prod(event)].reshape(len(self), *event)
