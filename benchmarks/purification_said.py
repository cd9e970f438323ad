"""What `purification.py` has measured, in words."""

from collections.abc import Iterable, Iterator, Sequence

Rows = dict[str, list[dict]]
Given = dict[str, int | float]

PARTS = ("sweep", "defences", "steps", "large", "adaptive")
ATTACKS = ("ℓ∞", "ℓ2", "salt and pepper")
BETTER, DROP, ALIKE = 0.30, 0.05, 0.03  # what is asked for


def said(rows: Rows, given: Given) -> list[str]:
    """All that was measured, as it was given to be, and whether it is what was asked for."""
    sweep, defences, steps, large, adaptive = (rows[part] for part in PARTS)
    walk, scale = given["walk"], given["scale"]
    parts = {
        f"DiffPure by depth, {walk} steps; in bold what was chosen": _table(
            ("t*", "ᾱ", "clean", "ℓ∞"),
            ((_depth(r), f"{r['alpha_bar']:.3f}", r["clean"], r["grey"]) for r in sweep),
        ),
        "Attackers who do not know the defence; `asks` of the model and ms for a digit": _table(
            ("", "clean", *ATTACKS, "asks", "ms"),
            (
                (r["name"], r["clean"], *(r[one] for one in ATTACKS), r["asks"], f"{r['ms']:.1f}")
                for r in defences
            ),
        ),
        "ADP by steps": _table(
            ("", "steps", "clean", "ℓ∞"),
            ((r["name"], r["steps"], r["clean"], r["grey"]) for r in steps),
        ),
        f"Large depths, {walk} steps, one round, scale {scale:g}": _table(
            ("t*", "", "clean", "ℓ∞"),
            ((f"{r['depth']:g}", r["name"], r["clean"], r["grey"]) for r in large),
        ),
        f"Attackers who know the defence: {given['seen']} digits, {given['through']} steps through "
        f"it or {given['past']} past it (BPDA), the mean of {given['draws']} draws": _table(
            ("", "clean", "grey-box", "through", "past"),
            ((r["key"], r["clean"], r["grey"], r["through"], r["past"]) for r in adaptive),
        ),
        "What was asked for": [f"- {one}" for one in verdicts(rows, walk)],
    }
    intro = (
        "Percent of the 359 held-out digits that are read right; the standard error of p is "
        "√(p(1-p)/n): 2 points at 80 %. In purification.png: digits, attacked (ℓ∞), and what "
        "becomes of these."
    )
    lines = ["", intro]
    for name, part in parts.items():
        lines += ["", f"**{name}**", "", *part]
    return lines


def verdicts(rows: Rows, walk: int) -> Iterator[str]:
    """A sentence for each check."""
    sweep, defences, steps, large, adaptive = (rows[part] for part in PARTS)
    of = {row["key"]: row for row in defences}
    known = {row["key"]: row for row in adaptive}
    yield from _diffpure(sweep, of["none"], known["DiffPure"])
    yield from _adp(steps, of)
    yield from _deterministic(of, walk)
    for free, held in zip(large[::2], large[1::2], strict=True):
        more, robust = held["clean"] - free["clean"], held["grey"] - free["grey"]
        yield _said(
            f"GDMP at t* = {held['depth']:g}: clean {_points(more)}, attacked {_points(robust)} "
            "points more than DiffPure's (more than 0, at least -3), at scale 0 the same bits",
            more > 0.0 and robust >= -ALIKE and held["same"],
        )


def _diffpure(sweep: list[dict], none: dict, known: dict) -> Iterator[str]:
    chosen = next(row for row in sweep if row["chosen"])
    gain, drop = chosen["grey"] - none["ℓ∞"], none["clean"] - chosen["clean"]
    yield _said(
        f"DiffPure at t* = {chosen['depth']:g}: attacked {_points(gain)} points above no defence "
        f"(30 asked), clean {_points(drop)} below (5 allowed)",
        gain >= BETTER and drop <= DROP,
    )
    top, ends = max(row["grey"] for row in sweep), (sweep[0]["grey"], sweep[-1]["grey"])
    yield _said(
        f"Over t* it rises and falls: {_share(ends[0])}, at best {_share(top)}, {_share(ends[1])}",
        top > max(ends),
    )
    least = min(known["through"], known["past"])
    yield _said(
        f"Who knows DiffPure gets it down from {_share(known['grey'])} to {_share(least)} %",
        least < known["grey"],
    )


def _adp(steps: list[dict], of: dict[str, dict]) -> Iterator[str]:
    free, fixed = ([r for r in steps if r["key"] == key] for key in ("adaptive", "fixed"))
    target = free[-1]["grey"] - 0.01
    first, second = (
        next((r["steps"] for r in kind if r["grey"] >= target), None) for kind in (free, fixed)
    )
    later = second or f"more than {free[-1]['steps']}"
    yield _said(
        f"ADP reaches {_share(target)} %, its last figure less 1, in {first} steps (asking twice "
        f"in each), steps of a {fixed[0]['name']} in {later}",
        second is None or first < second,
    )
    gain = of["ADP"]["ℓ∞"] - of["noise"]["ℓ∞"]
    yield _said(f"ADP is {_points(gain)} points above Gaussian noise", gain >= 0.0)


def _deterministic(of: dict[str, dict], walk: int) -> Iterator[str]:
    long, same, det = of["DiffPure 50"], of["DiffPure"], of["deterministic 20"]
    gap = det["ℓ∞"] - long["ℓ∞"]
    yield _said(
        f"Deterministic, 20 steps: {_points(gap)} points from DiffPure in 50 (within 3), at "
        f"{det['ms'] / long['ms']:.2f} of its time; DiffPure in {walk}, cheaper still, is "
        f"{_points(same['ℓ∞'] - long['ℓ∞'])} from it",
        abs(gap) <= ALIKE and det["ms"] < long["ms"],
    )
    gains = {one: det[one] - max(of["none"][one], of["noise"][one]) for one in ATTACKS}
    said = ", ".join(f"{_points(gain)} of {one}" for one, gain in gains.items())
    yield _said(
        f"The same, not tuned again, above the better of nothing and noise: {said}",
        min(gains.values()) > 0.0,
    )


def _said(sentence: str, met: bool) -> str:
    return f"{sentence}: {'met' if met else 'not met'}."


def _depth(row: dict) -> str:
    return f"**{row['depth']:g}**" if row["chosen"] else f"{row['depth']:g}"


def _share(value: float) -> str:
    return f"{100.0 * value:.1f}"


def _points(value: float) -> str:
    return f"{100.0 * value:+.1f}"


def _table(titles: Sequence[str], rows: Iterable[Sequence[str | int | float]]) -> list[str]:
    """Shares are floats."""
    lines = [f"| {' | '.join(titles)} |", "|" + "---|" * len(titles)]
    for row in rows:
        cells = (_share(cell) if isinstance(cell, float) else str(cell) for cell in row)
        lines.append(f"| {' | '.join(cells)} |")
    return lines
