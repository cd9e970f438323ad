"""Times and sizes as people say them."""


def seconds(count: float) -> str:
    return f"{1e3 * count:.3g} ms" if count < 1 else f"{count:.3g} s"


def span(hours: float) -> str:
    """A time as people say it.

    >>> span(0.02), span(3.0), span(100.0)
    ('1.2 minutes', '3 hours', '4.2 days')
    """
    for size, unit in ((24.0, "days"), (1.0, "hours"), (1 / 60, "minutes")):
        if hours >= 1.5 * size:
            return f"{hours / size:.2g} {unit}"
    return f"{60 * hours:.2g} minutes"


def size(count: float) -> str:
    return f"{count / 2**30:.2g} GB" if count >= 2**29 else f"{count / 2**20:.2g} MB"


def millions(weights: int) -> str:
    return f"{weights / 1e6:.2g} M" if weights >= 1e5 else f"{weights:,}"
