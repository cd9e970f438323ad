"""CSDI beside that of PyPOTS: the same windows, networks of the same size, as many epochs.

    python benchmarks/imputed.py [--epochs 60] [--windows 40] [--rounds 5] [--threads 1]

Quarters of the economy (`known.economy`: 12 channels, windows of 16) of which the last 30 % are
held out. Each learns every window once an epoch, in batches of 16, and hides a share of them at
random; hush's network says v, PyPOTS' the noise. Then each tells the same hidden cells of some
held-out windows, by 50 draws of the paper's 50 ancestral steps. Speeds are ratios of rounds in
which both take their turn: an epoch of both, and a window told by 50 draws.

Writes benchmarks/results/imputed.md.
"""

from functools import partial

import numpy as np
import torch
from known import economy
from measure import header, in_turn, options, times_as_fast, write
from torch import Tensor

import hush
from hush.data import Windows, split
from hush.networks.series import SERIES
from hush.system import Recipe
from hush.tasks.impute import drawn
from hush.tasks.judged.gaps import hide
from hush.tasks.judged.series import COLUMNS, Hidden, Units
from hush.training.trainer import Trainer
from hush.world import World

BATCH, SAMPLES, SHARES = 16, 50, (0.1, 0.5, 0.9)
ASKED = 1  # windows told in a round


class Ours:
    """hush's, an epoch at a time."""

    name = "hush"

    def __init__(self, train: Windows, epochs: int) -> None:
        self.train = train
        system = hush.systems.csdi(train.shape, hide="random", predict="v")
        batches = -(-len(train) // BATCH)
        whole = train.read(range(len(train)))[SERIES]
        system.codec.fit([whole])
        recipe = Recipe(
            steps=epochs * batches, batch=BATCH, learning_rate=1e-3, warmup=0, decay="cosine"
        )
        self.system, self.learner = system, Trainer(system, recipe, World())
        self.order = np.random.default_rng(0)

    def epoch(self) -> None:
        """All windows once."""
        order = self.order.permutation(len(self.train)).tolist()
        order += order[: -len(order) % BATCH]  # the last batch is a whole one
        for first in range(0, len(order), BATCH):
            self.learner.learn(self.train.read(order[first : first + BATCH]))

    def told(self, hidden: Hidden, some: slice) -> Tensor:
        """(window, sample, channel, length) in standard units."""
        part = {key: value[some] for key, value in hidden.record.items()}
        firsts = hidden.firsts[some]
        found = drawn(self.system, part, firsts, SAMPLES, seed=1)
        return hidden.units.standard(found)


class Theirs:
    """PyPOTS', likewise; it is given standard units."""

    name = "PyPOTS"

    def __init__(self, train: Windows, units: Units) -> None:
        from pypots.imputation import CSDI

        channels, length = train.shape
        whole = units.standard(train.read(range(len(train)))[SERIES])
        self.windows = {"X": whole.transpose(1, 2).float().numpy()}
        sizes = {"n_layers": 4, "n_heads": 8, "n_channels": 64, "d_time_embedding": 128}
        sizes |= {"d_feature_embedding": 16, "d_diffusion_embedding": 128}
        self.model = CSDI(
            length, channels, **sizes, batch_size=BATCH, epochs=1, device="cpu", verbose=False
        )

    def epoch(self) -> None:
        """All windows once."""
        self.model.fit(self.windows)

    def told(self, hidden: Hidden, some: slice) -> Tensor:
        """(window, sample, channel, length) in standard units."""
        seen = {"X": hidden.seen[some].transpose(1, 2).float().numpy()}
        found = self.model.predict(seen, n_sampling_times=SAMPLES)["imputation"]
        return torch.as_tensor(np.asarray(found)).transpose(2, 3).double()


def main() -> None:
    """Learn, tell, measure, write."""
    parser = options(__doc__, rounds=5, threads=1)
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--windows", type=int, default=40)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    torch.manual_seed(0)
    train, held = split(economy(), 0.3)
    units, device = Units.of(train), torch.device("cpu")
    both = Ours(train, given.epochs), Theirs(train, units)
    took = in_turn({one.name: one.epoch for one in both}, given.epochs, device, warm=0)
    rows = []
    for share in SHARES:
        hidden = hide(held, units, share, most=given.windows, seed=1)
        rows += [hidden.row(one.name, one.told(hidden, slice(None))) for one in both]
    works = {one.name: partial(one.told, hidden, slice(ASKED)) for one in both}
    told = in_turn(works, given.rounds, device)
    write(
        "imputed.md",
        [
            header("python benchmarks/imputed.py", given),
            "",
            f"{given.epochs} epochs of {len(train)} windows; {given.windows} told.",
            "",
            f"| {' | '.join(COLUMNS)} |",
            "|---" * len(COLUMNS) + "|",
            *(f"| {' | '.join(row.cells())} |" for row in rows),
            "",
            f"- an epoch {times_as_fast(took['PyPOTS'], took['hush'])} times as fast, 1.5 asked",
            f"- a window told {times_as_fast(told['PyPOTS'], told['hush'])} times as fast, 1.5 "
            "asked",
        ],
    )


if __name__ == "__main__":
    main()
