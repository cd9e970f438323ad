"""A part of a system that another run has learnt."""

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hush.system import System, rebuilt
from hush.systems.index import find, load
from hush.training.run import Run


@dataclass(frozen=True)
class Taken:
    """The system of a run, to be a part of another: an autoencoder in whose latents it draws, an
    encoder, a teacher. What a run stores of it is its name and settings; its weights are stored
    with those of the whole, so the run it was taken from may go.

    >>> Taken.of("runs/autoencoder")  # doctest: +SKIP
    Taken(name='autoencoder', arguments={...}, weights=PosixPath('runs/autoencoder'))
    """

    name: str = ""
    arguments: dict[str, Any] = field(default_factory=dict)
    weights: Path | None = field(default=None, compare=False, metadata={"stored": False})

    @classmethod
    def of(cls, run: str | os.PathLike[str]) -> "Taken":
        """What a run folder has learnt. Raises `UserError` for a folder that is none."""
        record = Run(run).record
        return cls(record["name"], record["arguments"], Path(run))

    def __bool__(self) -> bool:
        return bool(self.name)

    def system(self) -> System:
        """The system, with the weights of its run where it has just been taken from there."""
        if self.weights is not None:
            return load(self.weights)
        return rebuilt(find(self.name), self.arguments)
