"""What a run measures of its data before it learns from them."""

from collections.abc import Iterator
from typing import Any

from hush.codecs import Codec
from hush.data import Source
from hush.rng import Streams, derive
from hush.system import System

MEASURED = 4096  # records
_PART = 256


def examples(system: System, data: Source, seed: int) -> Iterator[Any]:
    """What the system's task makes of at most `MEASURED` records, spread evenly over `data` and
    read one part at a time."""
    chosen = range(len(data))
    chosen = chosen[:: -(-len(chosen) // MEASURED)]
    parts = (chosen[start : start + _PART] for start in range(0, len(chosen), _PART))
    whom = Streams.of(derive(seed, "measuring"), _PART)
    return (system.task.example(data.read(part), whom[: len(part)]) for part in parts)


def fit(codec: Codec, system: System, data: Source, seed: int) -> None:
    """Fit the codec of a system to what it is to learn from."""
    codec.fit((example.data for example in examples(system, data, seed)), data.levels)
    codec.fit_told(example.cond for example in examples(system, data, seed))
