"""What `images.py` found, and the page that says how it came out."""

from typing import Any

from hush.tasks.judged import COLUMNS, Row

Found = dict[str, Any]
QUARTER = ("colourise", "inpaint", "uncrop", "jpeg")
AHEAD = (
    "Floors: the Fréchet distance of the first answers to the truth in the features of "
    "`patch_space`, over that of as many training patches. Consistency: mean squared difference of "
    "the answers' own means from what was given, in 1e-5. Differ: two answers, root mean square. "
    "± is one standard error."
)


def kept(row: Row) -> Found:
    """What of a row goes into a file."""
    return {
        "cells": row.cells(),
        "distance": row.distance,
        "psnr": float(row.psnr.mean()),
        "consistency": None if row.consistency is None else float(row.consistency.mean()),
        "apart": None if row.apart is None else float(row.apart.mean()),
    }


def page(found: Found, race: dict[str, dict[int, float]], names: list[str]) -> list[str]:
    """A table for each system, and what was to be shown."""
    lines = [AHEAD, ""]
    for name in names:
        lines += [
            f"**{name}**, {found[name]['steps']:,} steps in {found[name]['minutes']:.1f} minutes",
            "",
            f"| {' | '.join(COLUMNS)} |",
            "|---" * len(COLUMNS) + "|",
            *(f"| {' | '.join(row['cells'])} |" for row in found[name]["rows"]),
            "",
        ]
    steps = sorted(race["residual"])
    lines += [
        "**srdiff with and without its residual**, a smaller network: mean |ε - ε_θ| held out",
        "",
        f"| steps | {' | '.join(map(str, steps))} |",
        "|---" * (len(steps) + 1) + "|",
        *(f"| {name} | {' | '.join(f'{race[name][s]:.3f}' for s in steps)} |" for name in race),
        "",
    ]
    return [*lines, "What was to be shown:", "", *claims(found, race)]


def claims(found: Found, race: dict[str, dict[int, float]]) -> list[str]:
    """The acceptance of SRDiff, SR3 and Palette, each part of it with its figures."""
    return [learns_faster(race), *larger(found), *whole(found), *varied(found)]


def larger(found: Found) -> list[str]:
    """What srdiff and sr3 were to show."""
    lines = []
    for name in (name for name in ("srdiff, x2", "sr3", "sr3, x2") if name in found):
        classical, regression, *owns = found[name]["rows"]
        for own in owns:  # as it answers, and held to what it was given
            who = own["cells"][1]
            lines += [nearer(who, own, other) for other in (classical, regression)]
            if name.startswith("srdiff"):
                lines.append(truer(who, own, regression, 1.2))
            else:
                less = classical["psnr"] - own["psnr"]
                about = f"{who}: PSNR below bicubic by {less:.2f} dB, at most 2"
                lines += [truer(who, own, classical, 1.0), said(about, less <= 2.0)]
    return lines


def whole(found: Found) -> list[str]:
    """What Palette was to show, alone on each task and of all at once."""
    lines, mix = [], found.get("palette, mix", {"rows": []})["rows"]
    for task in QUARTER:
        alone = found.get(f"palette, {task}", {"rows": []})["rows"]
        both = [[row for row in rows if row["cells"][0] == task] for rows in (alone, mix)]
        owns = [[row for row in rows if row["cells"][1].startswith("palette")] for rows in both]
        for rows, own in zip(both, owns, strict=True):
            lines += [nearer(f"{task}: {row['cells'][1]}", row, rows[0]) for row in own]
        for alone, mixed in zip(*owns, strict=False):
            share = mixed["distance"] / alone["distance"]
            about = f"{task}: {mixed['cells'][1]} at {share:.2f} of the specialist's, at most 1.15"
            lines.append(said(about, share <= 1.15))
    return lines


def varied(found: Found) -> list[str]:
    """Whether L2 makes more varied answers than L1."""
    names = "palette, colourise", "palette, colourise, L1"
    if not all(name in found for name in names):
        return []
    square, absolute = (
        next(row["apart"] for row in found[name]["rows"] if row["cells"][1] == name)
        for name in names
    )
    about = f"colourise: answers of L2 differ by {square:.3f}, of L1 by {absolute:.3f}"
    return [said(about, square > absolute)]


def learns_faster(race: dict[str, dict[int, float]]) -> str:
    """Whether the residual is learnt in fewer steps."""
    last = max(race["picture"])
    goal = race["picture"][last]
    reached = [step for step, loss in race["residual"].items() if loss <= goal]
    about = f"srdiff: the loss that the picture itself has after {last} steps ({goal:.3f}), "
    if not reached:
        best = min(race["residual"].values())
        return said(f"{about}the residual does not reach ({best:.3f})", False)
    return said(f"{about}the residual has after {min(reached)}", min(reached) < last)


def nearer(who: str, own: Found, other: Found) -> str:
    """Whether the features of one are nearer to the truth."""
    about = f"{who}: {own['distance']:.2f} floors, {other['cells'][1]} {other['distance']:.2f}"
    return said(about, own["distance"] < other["distance"])


def truer(who: str, own: Found, other: Found, most: float) -> str:
    """Whether the answers say of the low resolution what was asked."""
    share = own["consistency"] / other["consistency"]
    about = f"{who}: consistency {share:.2f} of that of {other['cells'][1]}, at most {most:g}"
    return said(about, share <= most)


def said(about: str, so: bool) -> str:
    return f"- {about}: {'met' if so else '**not met**'}"
