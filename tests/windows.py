"""What the tests of series share: windows with gaps, as data give them."""

import torch

from hush.data import series
from hush.rng import Streams

CHANNELS, LENGTH = 2, 12


def windows(count, channels=CHANNELS, length=LENGTH, missing=0.2):
    """A record batch of series around 5 and 10, …, a share of their values missing."""
    rng = Streams.of(1, count)
    level = 5.0 * torch.arange(1.0, channels + 1).unsqueeze(1)
    values = level + rng.normal((channels, length)).cumsum(2)
    gaps = rng.next().uniform((channels, length)) < missing
    time = torch.arange(float(length)).expand(count, -1)
    return {"series": values.masked_fill(gaps, torch.nan), "time": time}


def table(folder, stamps=60, channels=CHANNELS, length=LENGTH):
    """The source of such windows, from a CSV file."""
    values = windows(1, channels, stamps)["series"][0].T.tolist()
    rows = [",".join("" if v != v else f"{v:.6g}" for v in row) for row in values]
    names = ",".join("abcdefgh"[:channels])
    lines = [f"time,{names}", *(f"{i},{row}" for i, row in enumerate(rows))]
    path = folder / "series.csv"
    path.write_text("\n".join(lines) + "\n")
    return series(path, length=length)
