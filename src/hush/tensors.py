"""Small tensor helpers that every room shares."""

import torch
from jaxtyping import Shaped
from torch import Tensor

Number = float | Tensor  # a Python float, or a tensor of shape () or (batch,)


def expand(value: Number, like: Tensor) -> Number:
    """Append axes to a per-sample coefficient of shape (batch,) so that it broadcasts over `like`,
    in the type and on the device of `like`. Floats and scalars pass through.

    >>> expand(torch.ones(4), torch.zeros(4, 3, 8, 8)).shape
    torch.Size([4, 1, 1, 1])
    """
    if not isinstance(value, Tensor) or value.ndim == 0:
        return value
    return value.to(like).reshape(value.shape + (1,) * (like.ndim - value.ndim))


def per_sample(value: Shaped[Tensor, " batch *event"]) -> Shaped[Tensor, " batch"]:
    """The mean over everything but the batch.

    >>> per_sample(torch.tensor([[1.0, 3.0], [5.0, 5.0]]))
    tensor([2., 5.])
    """
    return value.flatten(1).mean(1) if value.ndim > 1 else value


def absent(cond: Tensor | None) -> Tensor | None:
    """The condition that says nothing: -1 for labels (integers), NaN for features (floats).

    >>> absent(torch.tensor([3, 7]))
    tensor([-1, -1])
    """
    if cond is None:
        return None
    return torch.full_like(cond, float("nan") if cond.is_floating_point() else -1)


def drop(cond: Tensor | None, dropped: Tensor) -> Tensor | None:
    """Make the condition absent for the samples where `dropped` (batch,) is true."""
    if cond is None:
        return None
    return torch.where(dropped.reshape((-1,) + (1,) * (cond.ndim - 1)), absent(cond), cond)


State = Tensor | dict[str, Tensor]


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
