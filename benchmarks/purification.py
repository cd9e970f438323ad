"""Purification of attacked digits: a classifier with and without it, and attackers who know of it.

    python benchmarks/purification.py [--runs runs/purification]

A small model of the 1,438 digits that are not held out, without their classes, is trained once
(kept in --runs), and a classifier of the same digits. The 359 others are attacked by whom knows the
classifier and not the defence (grey-box): 40 steps of PGD of 2 of 16 grey levels (ℓ∞), or of .5 in
ℓ2, or the worst of 10 draws of salt and pepper on a tenth of the pixels; and by whom knows the
defence too (adaptive), on its own draws: through all of its steps, or past them as if they changed
nothing (BPDA). What is chosen (a depth, a deviation, a step) is chosen on attacked training digits.
Rows are kept beside the run: what was stopped goes on. Writes benchmarks/results/purification.md
and purification.png.
"""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import torch
from measure import RESULTS, header, options, write
from purification_said import Rows, said
from torch import Tensor

import hush
from hush.data import digits, grid, save, split
from hush.evaluation import Classifier, fit_classifier
from hush.evaluation.attacks import PGD, Attack, Defence, SaltAndPepper
from hush.evaluation.robustness import gaussian_noise, median_filter, right
from hush.networks import Backbone
from hush.system import System
from hush.tasks.purify import Adaptive, Deterministic, DiffPure, Guided

COMMAND = "python benchmarks/purification.py"
STEPS = 1500  # of training
CHOSEN_ON = 120  # training digits
SEEN = 48  # held-out digits that adaptive attacks are tried on
DEPTHS = (0.05, 0.1, 0.15, 0.2, 0.3, 0.4)
LARGE = (0.3, 0.5)  # depths that DiffPure alone does not bear
DEVIATIONS = (0.05, 0.1, 0.15, 0.2, 0.3)
WIDTHS = (0.01, 0.02, 0.03, 0.045, 0.06)  # of fixed steps
COUNTS = (1, 2, 3, 4, 5)  # steps of ADP
WALK = 10  # steps of a walk, where nothing else is said
LINF = PGD("linf", 2 / 16)
ATTACKS: dict[str, Attack] = {
    "ℓ∞": LINF,
    "ℓ2": PGD("l2", 0.5),
    "salt and pepper": SaltAndPepper(0.1, 10),
}
ADP = Adaptive(noise=0.3, steps=COUNTS[-1], ratio=0.3, share=0.35)
SCALE = 12.0  # of guidance, 3/(2·2/16): the attack is 0.25 of [-1, 1]
GDMP = Guided(0.1, WALK // 2, rounds=2, scale=SCALE)
THROUGH = replace(LINF, steps=10, draws=2)
PAST = replace(LINF, steps=20, draws=2, bypass=True)

Walked = DiffPure | Deterministic | Adaptive | Guided


@dataclass(frozen=True)
class Case:
    """The run, the classifier, and digits with their labels: to choose on, and to judge on."""

    model: System
    eye: Classifier
    chosen_on: tuple[Tensor, Tensor]
    held_out: tuple[Tensor, Tensor]

    @classmethod
    def of(cls, runs: Path) -> "Case":
        data = digits()
        if not (runs / "digits" / "ema.safetensors").exists():
            torch.manual_seed(0)
            small = Backbone(width=32, multipliers=(1, 2), blocks=1, attention=(1,), dropout=0.0)
            how = {"chain": 1000, "predict": "v", "variance": "small"}
            made = hush.systems.improved_ddpm(data.shape, (), small, data.levels, **how)
            recipe = {"steps": STEPS, "batch": 64, "learning_rate": 2e-3, "warmup": 100}
            recipe |= {"decay": "cosine", "ema": 0.995, "held_out": 0.2}
            hush.train(made, data, runs / "digits", show=False, **recipe)
        train, test = (part.read(range(len(part))) for part in split(data, 0.2, seed=0))
        eye = fit_classifier(train["image"], train["label"], classes=10, seed=0)
        some = train["image"][:CHOSEN_ON], train["label"][:CHOSEN_ON]
        model = hush.load(runs / "digits")
        return cls(model, eye, some, (test["image"], test["label"]))

    @cached_property
    def attacked(self) -> dict[str, Tensor]:
        """The held-out digits after each attack on the classifier alone."""
        return {name: attack(self.eye, *self.held_out) for name, attack in ATTACKS.items()}

    def judged(self, defence: Defence | None, attack: str = "", runs: int = 1) -> float:
        """The share of held-out digits read right, by the mean logits of the runs."""
        pictures = self.attacked[attack] if attack else self.held_out[0]
        return right(self.eye, pictures, self.held_out[1], defence, runs=runs).value

    def best(self, defences: Sequence[Defence]) -> int:
        """Which one reads most of the attacked training digits."""
        pictures, labels = self.chosen_on
        attacked = LINF(self.eye, pictures, labels)
        found = [right(self.eye, attacked, labels, defence).value for defence in defences]
        return found.index(max(found))


def sweep_rows(case: Case, rows: Rows) -> Iterator[dict]:
    """DiffPure at each depth, and which depth is chosen."""
    purifiers = [DiffPure(depth, WALK) for depth in DEPTHS]
    chosen = case.best([one.within(case.model) for one in purifiers])
    schedule = case.model.denoiser.process.schedule
    for number, purifier in enumerate(purifiers):
        defence = purifier.within(case.model)
        yield {
            "depth": purifier.depth,
            "alpha_bar": schedule.level(purifier.depth).alpha ** 2,
            "clean": case.judged(defence),
            "grey": case.judged(defence, "ℓ∞"),
            "chosen": number == chosen,
        }


def named(depth: float) -> dict[str, tuple[str, Walked]]:
    """The purifiers, at a depth that was chosen for the first of them."""
    return {
        "DiffPure 50": ("DiffPure, 50 steps", DiffPure(depth, 50)),
        "DiffPure": (f"DiffPure, {WALK} steps", DiffPure(depth, WALK)),
        "deterministic 20": ("deterministic, 20 steps", Deterministic(depth, 20)),
        "deterministic": (f"deterministic, {WALK} steps", Deterministic(depth, WALK)),
        "ADP": (f"ADP, {ADP.steps} steps", ADP),
        "GDMP": (f"GDMP, {GDMP.depth:g} twice", GDMP),
    }


def compared(depth: float) -> dict[str, Walked]:
    """Those of them that ask alike."""
    return {key: one for key, (_, one) in named(depth).items() if _asks(one) == WALK}


def _depth(rows: Rows) -> float:
    return next(row["depth"] for row in rows["sweep"] if row["chosen"])


def defence_rows(case: Case, rows: Rows) -> Iterator[dict]:
    """Every defence against every attack that does not know of it."""
    purifiers = named(_depth(rows))
    noises = [gaussian_noise(deviation) for deviation in DEVIATIONS]
    chosen = case.best(noises)
    noise = f"Gaussian noise of {DEVIATIONS[chosen]:g}"
    defences: dict[str, tuple[str, Defence | None]] = {
        "none": ("none", None),
        "median": ("median of 3x3", median_filter(3)),
        "noise": (noise, noises[chosen]),
    }
    for key, (name, purifier) in purifiers.items():
        defences[key] = name, purifier.within(case.model)
    for key, (name, defence) in defences.items():
        began = time.perf_counter()
        clean = case.judged(defence)
        took = (time.perf_counter() - began) / len(case.held_out[0])
        asks = _asks(purifiers[key][1]) if key in purifiers else 0
        found = {one: case.judged(defence, one) for one in ATTACKS}
        yield {"key": key, "name": name, "clean": clean, "asks": asks, "ms": 1e3 * took, **found}


def step_rows(case: Case, rows: Rows) -> Iterator[dict]:
    """ADP after each number of steps, beside the fixed step that is best after as many in all."""
    widths = [replace(ADP, smallest=width, largest=width) for width in WIDTHS]
    fixed = widths[case.best([one.within(case.model) for one in widths])]
    for name, purifier in (("adaptive", ADP), (f"fixed {fixed.largest:g}", fixed)):
        for steps in COUNTS:
            defence = replace(purifier, steps=steps).within(case.model)
            found = {"clean": case.judged(defence), "grey": case.judged(defence, "ℓ∞")}
            yield {"key": name.split()[0], "name": name, "steps": steps, **found}
    defence = ADP.within(case.model)
    found = {"clean": case.judged(defence, "", 5), "grey": case.judged(defence, "ℓ∞", 5)}
    yield {"key": "runs", "name": "mean logits of 5 runs", "steps": ADP.steps, **found}


def large_rows(case: Case, rows: Rows) -> Iterator[dict]:
    """DiffPure and GDMP at depths where much of the digit is lost, and GDMP at scale 0."""
    for depth in LARGE:
        held = Guided(depth, WALK, rounds=1, scale=SCALE)
        free, none = DiffPure(depth, WALK), replace(held, scale=0.0)
        few = case.held_out[0][:8]
        same = torch.equal(free(case.model, few), none(case.model, few))
        for name, purifier in (("DiffPure", free), ("GDMP", held)):
            defence = purifier.within(case.model)
            found = {"clean": case.judged(defence), "grey": case.judged(defence, "ℓ∞")}
            yield {"name": name, "depth": depth, "same": same, **found}


def adaptive_rows(case: Case, rows: Rows) -> Iterator[dict]:
    """Defences against attackers who know them, on the first held-out digits."""
    pictures, labels = (part[:SEEN] for part in case.held_out)
    grey = LINF(case.eye, pictures, labels)
    for key, purifier in compared(_depth(rows)).items():
        defence, row = purifier.within(case.model), {"key": key}
        for kind, attack in (("clean", None), ("grey", None), ("through", THROUGH), ("past", PAST)):
            shown = pictures if kind == "clean" else grey
            if attack:
                shown = attack(case.eye, pictures, labels, defence)
            row[kind] = right(case.eye, shown, labels, defence).value
        yield row


def _asks(purifier: Walked) -> int:
    """How often the model is asked for a picture."""
    if isinstance(purifier, Adaptive):
        return 2 * purifier.steps
    return purifier.steps * purifier.rounds


def draw(case: Case, depth: float) -> None:
    """Ten digits: clean, attacked, and what each purifier makes of the attacked."""
    labels = case.held_out[1]
    fooled = case.eye(case.attacked["ℓ∞"]).argmax(1) != labels
    which = torch.stack([((labels == k) * (1 + fooled)).argmax() for k in range(10)])
    attacked = case.attacked["ℓ∞"][which]
    rows = [case.held_out[0][which], attacked]
    rows += [one(case.model, attacked) for one in compared(depth).values()]
    save(grid(torch.cat(rows), 10, zoom=6), RESULTS / "purification.png", overwrite=True)


PARTS: dict[str, Callable[[Case, Rows], Iterator[dict]]] = {
    "sweep": sweep_rows,
    "defences": defence_rows,
    "steps": step_rows,
    "large": large_rows,
    "adaptive": adaptive_rows,
}


def main() -> None:
    """Measure what is not kept yet, write what all of it says."""
    parser = options(__doc__, rounds=1)
    parser.add_argument("--runs", type=Path, default=Path("runs/purification"))
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    case, kept = Case.of(given.runs), given.runs / "rows.json"
    rows = json.loads(kept.read_text()) if kept.exists() else {}
    for part, measure in PARTS.items():
        if part not in rows:
            began, rows[part] = time.perf_counter(), []
            for row in measure(case, rows):
                rows[part].append(row)
                print(row, flush=True)
            print(f"{part}: {time.perf_counter() - began:.0f} s", flush=True)
            kept.write_text(json.dumps(rows, indent=1))
    draw(case, _depth(rows))
    about = {"walk": WALK, "scale": SCALE, "seen": SEEN, "draws": PAST.draws}
    about |= {"through": THROUGH.steps, "past": PAST.steps}
    write("purification.md", [header(COMMAND, given), *said(rows, about)])


if __name__ == "__main__":
    main()
