"""How a system is trained: numbers, and nothing of any paper; and what was chosen, and why."""

import math
from dataclasses import dataclass, field
from typing import Any, Literal

from hush.errors import UserError
from hush.networks import Precision


@dataclass(frozen=True)
class Choice:
    """Something that was chosen for data and a machine, and why."""

    name: str
    value: str
    """For a person to read."""
    why: str
    settings: dict[str, Any] = field(default_factory=dict)
    """What it sets: options of the command line by name, fields of a recipe, a network, a system or
    of how data are read."""


@dataclass(frozen=True)
class Recipe:
    """How a system is trained; each system carries its paper's."""

    steps: int = 100_000
    """Optimiser steps in all; run again with more to go on."""
    batch: int = 128
    """Samples per step."""
    accumulate: int = 1
    """Parts each batch is computed in, to save memory."""
    learning_rate: float = 2e-4
    """Peak learning rate of AdamW."""
    warmup: int = 5000
    """Steps over which the learning rate rises linearly from 0."""
    decay: Literal["constant", "cosine"] = "constant"
    """What the learning rate does after the warm-up; cosine falls to 0 at the last step."""
    weight_decay: float = 0.0
    """AdamW's decoupled weight decay."""
    clip: float = 1.0
    """Largest norm of the gradient."""
    ema: float = 0.9999
    """Decay of the averaged weights that samples come from; it warms up over the first steps."""
    precision: Precision = "no"
    """Mixed precision of the network ("no" is float32)."""
    recompute: bool = False
    """Compute the blocks of the network again on the way back, instead of keeping all they made:
    about a third slower, in far less memory."""
    compile: bool = False
    """Compile the blocks of the network (torch.compile), once for all runs of its shape. What that
    saves, or costs, is told at the start: most on accelerators, mostly nothing on processors."""
    held_out: float = 0.05
    """Share of the data kept from training, at most 1024 samples, to measure the loss on."""
    report_every: int = 100
    """Steps between two lines of metrics.jsonl."""
    sample_every: int = 5000
    """Steps between two sample grids and held-out losses."""
    save_every: int = 1000
    """Steps between two checkpoints."""
    log_records: bool = False
    """Write down, in records.jsonl, which records every step learns from."""
    shard: bool = False
    """On several processes: each keeps a share of the weights, averages and optimiser state (FSDP),
    instead of all of them."""
    workers: int = 2
    """Threads that read data ahead."""
    seed: int = 0
    """Seed of everything random: initial weights, data order, noise."""

    def __post_init__(self) -> None:
        for name in ("steps", "batch", "accumulate", "report_every", "sample_every", "save_every"):
            if getattr(self, name) < 1:
                raise UserError(f"{name} must be at least 1, got {getattr(self, name)}.")
        for name in ("learning_rate", "clip"):
            if not 0.0 < getattr(self, name) < math.inf:
                raise UserError(f"{name} must be a positive number, got {getattr(self, name)}.")
        for name in ("ema", "held_out"):
            if not 0.0 <= getattr(self, name) < 1.0:
                raise UserError(f"{name} must be in [0, 1), got {getattr(self, name)}.")
        if self.batch % self.accumulate:
            raise UserError(
                f"A batch of {self.batch} cannot be computed in {self.accumulate} equal parts: "
                "choose accumulate so that it divides batch."
            )

    def due(self, every: int, step: int) -> bool:
        """Whether `step` is one of every so many, or the last."""
        return step >= self.steps or step % every == 0
