"""Small tensor helpers that every room shares."""

from collections.abc import Callable, Iterable, Sequence

import torch
from jaxtyping import Shaped
from torch import Tensor

Number = float | Tensor  # a Python float, or a tensor of shape () or (batch,)
Terms = tuple[tuple[Number, Tensor], ...]  # Σ c v, not added up yet: (c, v), …
State = Tensor | dict[str, Tensor]  # of one part, or of several by name
Condition = State  # labels or features (batch, …), or several of them by name


def expand(value: Number, like: Tensor) -> Number:
    """Append axes to a per-sample coefficient of shape (batch,) so that it broadcasts over `like`,
    in the type and on the device of `like`. Floats and scalars pass through.

    >>> expand(torch.ones(4), torch.zeros(4, 3, 8, 8)).shape
    torch.Size([4, 1, 1, 1])
    """
    if not isinstance(value, Tensor) or value.ndim == 0:
        return value
    return value.to(like).reshape(value.shape + (1,) * (like.ndim - value.ndim))


def times(factor: Number, terms: Terms) -> Terms:
    """The terms of `factor`·Σ c v."""
    return tuple((factor * c, v) for c, v in terms)


def weighted(shares: Sequence[Number], sums: Sequence[Terms]) -> Terms:
    """The terms of Σ share·sum."""
    return tuple(
        term
        for share, terms in zip(shares, sums, strict=True)
        if _counts(share)
        for term in times(share, terms)
    )


def total(terms: Iterable[tuple[Number, Tensor]]) -> Tensor:
    """Σ c v in a tensor of its own: one pass over memory for each tensor that counts, however often
    it stands among the terms.

    >>> x, y = torch.ones(2), torch.arange(2.0)
    >>> total(((0.5, x), (2.0, y), (1.0, x)))
    tensor([1.5000, 3.5000])
    """
    joined: dict[int, tuple[Number, Tensor]] = {}
    for c, v in terms:
        known = joined.get(id(v))
        joined[id(v)] = (c + known[0], v) if known else (c, v)
    parts = list(joined.values())
    (c, v), *others = [part for part in parts if _counts(part[0])] or parts[:1]
    added = v * expand(c, v)
    for c, v in others:
        if isinstance(c, Tensor):
            added = torch.addcmul(added, v, expand(c, v))
        else:
            added.add_(v, alpha=c)
    return added


def _counts(c: Number) -> bool:
    return isinstance(c, Tensor) or c != 0.0


def per_sample(value: Shaped[Tensor, " batch *event"]) -> Shaped[Tensor, " batch"]:
    """The mean over everything but the batch.

    >>> per_sample(torch.tensor([[1.0, 3.0], [5.0, 5.0]]))
    tensor([2., 5.])
    """
    return value.flatten(1).mean(1) if value.ndim > 1 else value


def each(change: Callable[[Tensor], Tensor], value: State | None) -> State | None:
    """The tensor changed, or every part of a dictionary; None stays None."""
    if isinstance(value, dict):
        return {name: change(part) for name, part in value.items()}
    return None if value is None else change(value)


def absent(cond: Condition | None) -> Condition | None:
    """The condition that says nothing: -1 for labels (integers), NaN for features (floats).

    >>> absent(torch.tensor([3, 7]))
    tensor([-1, -1])
    """

    def nothing(part: Tensor) -> Tensor:
        return torch.full_like(part, float("nan") if part.is_floating_point() else -1)

    return each(nothing, cond)


def drop(cond: Condition | None, dropped: Tensor) -> Condition | None:
    """Make the condition absent for the samples where `dropped` (batch,) is true."""

    def hidden(part: Tensor) -> Tensor:
        return torch.where(dropped.reshape((-1,) + (1,) * (part.ndim - 1)), absent(part), part)

    return each(hidden, cond)


def joined(first: State, second: State) -> State:
    """Two batches as one, part by part."""
    if isinstance(first, dict):
        return {name: torch.cat((first[name], second[name])) for name in first}
    return torch.cat((first, second))


def select(mask: State, chosen: State, other: State) -> State:
    """`chosen` where the mask is true and `other` elsewhere, of tensors or of dictionaries of them;
    a part that the mask does not name is `other`'s.

    >>> mask = {"a": torch.tensor([True, False])}
    >>> select(mask, {"a": torch.ones(2)}, {"a": torch.zeros(2), "b": torch.zeros(1)})
    {'a': tensor([1., 0.]), 'b': tensor([0.])}
    """
    if isinstance(other, dict):
        chosen_of = {key: select(mask[key], chosen[key], other[key]) for key in mask}
        return {**other, **chosen_of}
    return torch.where(mask, chosen, other)


def spread(value: State, like: State) -> State:
    """`value` broadcast to the shape of `like`, tensor by tensor; parts that a dictionary does not
    name are those of `like`."""
    if isinstance(like, dict):
        return {key: spread(value.get(key, like[key]), like[key]) for key in like}
    return value.expand_as(like)
