"""What returns in series: the distance of stamps, and a season."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

STRONG = 0.3  # autocorrelation of a season that stands out
_SECOND, _MINUTE, _HOUR, _DAY = 1.0, 60.0, 3600.0, 86400.0
_UNITS = ((_DAY, "day"), (_HOUR, "hour"), (_MINUTE, "minute"), (_SECOND, "second"))
_CALENDAR = ((365, 366, "year"), (90, 92, "quarter"), (28, 31, "month"), (7, 7, "week"))


def spacing(moment: np.ndarray, steps: np.ndarray, bounds: Sequence[int], dates: bool) -> str:
    """How far stamps lie apart: "a month, even", "6 hours, uneven: 0.5 to 3 times that"."""
    apart = np.concatenate([np.diff(steps[a:b]) for a, b in pairwise(bounds)])
    if not len(apart):
        return "a single stamp"
    seconds = np.concatenate([np.diff(moment[a:b]) for a, b in pairwise(bounds)])
    usual = float(np.median(seconds))
    one = _named(usual) if dates else f"{usual:g}"
    if np.allclose(apart, 1.0, atol=1e-6):
        return f"{one}, even"
    return f"{one}, uneven: {apart.min():.3g} to {apart.max():.3g} times that"


def _named(seconds: float) -> str:
    """A duration in words."""
    days = seconds / _DAY
    for low, high, name in _CALENDAR:
        if low <= days <= high:
            return f"a {name}"
    for unit, name in _UNITS:
        if seconds >= unit:
            count = seconds / unit
            article = "an" if name == "hour" else "a"
            return f"{article} {name}" if count == 1 else f"{count:.3g} {name}s"
    return f"{seconds:g} seconds"


def period(values: np.ndarray, bounds: Sequence[int]) -> int | None:
    """The season of the longest series in stamps: the lag of the highest peak of the mean
    autocorrelation of its channels once their lines are taken out, where it is above `STRONG`.

    >>> wave = np.sin(2 * np.pi * np.arange(120) / 12)[None]
    >>> period(wave, [0, 120])
    12
    """
    start, end = max(pairwise(bounds), key=lambda span: span[1] - span[0])
    found = [_autocorrelation(row[start:end]) for row in values]
    found = [each for each in found if each is not None]
    if not found:
        return None
    mean = np.mean(found, axis=0)
    most = len(mean) // 3
    peaks = [k for k in range(2, most) if mean[k - 1] < mean[k] >= mean[k + 1]]
    peaks = [k for k in peaks if mean[k] > STRONG and mean[1:k].min() < mean[k] - 0.1]
    if not peaks:
        return None
    best = max(mean[k] for k in peaks)
    return next(k for k in peaks if mean[k] >= 0.9 * best)


def _autocorrelation(row: np.ndarray) -> np.ndarray | None:
    """Of one channel, its line taken out, gaps filled by lines; None of one that says nothing."""
    known, stamps = ~np.isnan(row), np.arange(len(row))
    if known.sum() < 8:
        return None
    whole = np.interp(stamps, stamps[known], row[known].astype(np.float64))
    whole = whole - np.polyval(np.polyfit(stamps, whole, 1), stamps)
    power = np.abs(np.fft.rfft(whole, 2 * len(whole))) ** 2
    found = np.fft.irfft(power)[: len(whole)]
    return found / found[0] if found[0] > 0 else None
