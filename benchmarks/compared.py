"""What `features.py` compares, and the page that says how it came out."""

from statistics import mean, stdev

from learnt import DECODER, ENCODER, STEPS

LABELLED, PAIRS = 10, (40, 10)
TIMES = (0.0, 0.02, 0.05, 0.1, 0.15, 0.3, 0.6, 1.0)
SIGMAS, COUNTS, SWEPT = (0.02, 0.22, 0.7, 2.0), (1, 5, 20), 5
DECODERS = {"ddep": "0.22", "random decoder": "random"}
OTHERS = ("autoencoder", "random network", "principal components", "pixels")
SIMPLER = ("random network", "pixels", "threshold")
CLAIMS = (
    *((f"segment/ddpm over {name}", "segment/ddpm", f"segment/{name}") for name in OTHERS),
    *(
        (f"change/ddpm over {name}, {c} pairs", f"change/ddpm/{c}", f"change/{name}/{c}")
        for c in PAIRS
        for name in SIMPLER
    ),
    *((f"ddep over a random decoder, {c}", f"ddep/0.22/{c}", f"ddep/random/{c}") for c in COUNTS),
)
BY_TIME = {f"{t:g}": f"segment/t = {t:g}" for t in TIMES}
BY_SIGMA = {f"{sigma:g}": f"ddep/{sigma:g}/{SWEPT}" for sigma in SIGMAS}
ABOUT = f"""
Grey scenes of 32x32: one or two shapes on brick, grass or gravel, five kinds of shape and the
ground to be told apart (`benchmarks/scenes.py`). The `ddpm` and the autoencoder learnt {STEPS:,}
steps of 16 pictures without labels, the encoder of `ddep` {ENCODER} steps of 32 and each of its
decoders {DECODER}. Everybody's features are read by the same heads. A gain is a difference draw by
draw. In features.png, from above: pictures, truth, answer and share of votes from {LABELLED}
labels; then both dates, what changed, and its chance from {PAIRS[0]} labelled pairs."""


class Table:
    """The rows of all rounds, and the page they make."""

    def __init__(self, rows: dict[str, float], rounds: int) -> None:
        self.rows, self.rounds = rows, rounds

    def each(self, key: str) -> list[float]:
        return [self.rows[f"{key}/{draw}"] for draw in range(self.rounds)]

    def of(self, title: str, head: str, names: dict[str, str]) -> list[str]:
        """One table: a name and its row's key a line."""
        body = [f"| {name} | {_words(self.each(key))} |" for name, key in names.items()]
        return ["", title, "", f"| {head} | mean ± deviation | each draw |", "|---|---|---|", *body]

    def claims(self) -> list[str]:
        """What was to be shown, draw by draw, and whether it was."""
        lines = [
            "",
            "## What was to be shown",
            "",
            "| | gain | each draw |  |",
            "|---|---|---|---|",
        ]
        for about, key, other in CLAIMS:
            gains = [a - b for a, b in zip(self.each(key), self.each(other), strict=True)]
            word = "in every draw" if min(gains) > 0 else "on average" if mean(gains) > 0 else "not"
            lines.append(f"| {about} | {_words(gains)} | {word} |")
        for about, keys in (("t of the ddpm", BY_TIME), ("σ of ddep", BY_SIGMA)):
            best = max(keys, key={name: mean(self.each(keys[name])) for name in keys}.__getitem__)
            word = "at an end" if best in (next(iter(keys)), [*keys][-1]) else "inside"
            lines.append(f"| best {about}: {best} | | | {word} |")
        return lines

    def page(self) -> list[str]:
        counts = {
            f"{count} pictures, {name}": f"ddep/{key}/{count}"
            for count in COUNTS
            for name, key in DECODERS.items()
        }
        pairs = {f"{n}, {c} pairs": f"change/{n}/{c}" for c in PAIRS for n in ("ddpm", *SIMPLER)}
        few = f"{LABELLED} labelled pictures"
        return [
            ABOUT,
            *self.claims(),
            *self.of(
                f"## Segmentation: mIoU from {few}",
                "features",
                {n: f"segment/{n}" for n in ("ddpm", *OTHERS)},
            ),
            *self.of("The `ddpm` at one time alone", "t", BY_TIME),
            *self.of("## Change: F1", "features", pairs),
            *self.of("## Decoder denoising pretraining: mIoU", "labels", counts),
            *self.of(f"{SWEPT} pictures, by the noise of the decoder", "σ", BY_SIGMA),
        ]


def _words(each: list[float]) -> str:
    spread = stdev(each) if len(each) > 1 else 0.0
    return f"{mean(each):.3f} ± {spread:.3f} | {', '.join(f'{x:.3f}' for x in each)}"
