"""The suite of codecs."""

import copy
import math

import torch
from torch import Tensor

from hush.codecs import Codec, Levels
from hush.errors import UserError
from hush.rng import Streams
from hush.testing.claims import agree, require

_LEVELS = (2, 17, 256, 65536)


def check_codec(codec: Codec) -> None:
    """A codec gives back what it was given.

    - decode(encode(data)) is the data bit for bit, on each of 2, 17, 256 and 65536 levels in
      float32; to 1e-12 on continuous data in float64;
    - decode holds to the range that was measured, where it is `bounded`;
    - `log_det` is log |d encode/d data|, by the Jacobian;
    - what it measured lives in its state_dict;
    - it refuses data that never vary, and data that are not finite, with a UserError.

    One that takes `gaps` is of continuous data and refuses levels; NaN is 0 in x_0, and the rest is
    measured and given back as if it were not there.
    A codec to tokens gives its own number of levels back bit for bit and refuses every other.
    """
    name = type(codec).__name__
    if isinstance(codec, Levels):
        return _check_tokens(codec, name)
    (_check_gaps if codec.gaps else _check_levels)(codec, name)
    data = _continuous()
    fitted = copy.deepcopy(codec).fit(data.split(7))
    x_0 = fitted.encode(data)
    require(x_0.dtype == data.dtype, f"{name} must keep the type of the data.")
    agree(fitted.decode(x_0), data, 1e-12, f"decode(encode(data)) of {name}")
    beyond = fitted.decode(torch.stack((x_0[0] * 0 - 1e3, x_0[0] * 0 + 1e3)))
    inside = beyond.min() >= data.min() - 1e-12 and beyond.max() <= data.max() + 1e-12
    require(
        inside or not codec.bounded, f"decode of {name} must hold to the range that was measured."
    )
    _check_log_det(fitted, data[0], name)
    again = copy.deepcopy(codec)
    again.load_state_dict(fitted.state_dict())
    require(torch.equal(again.encode(data), x_0), f"{name} must keep what it measured in buffers.")
    _check_refusals(codec, data, name)


def _check_levels(codec: Codec, name: str) -> None:
    for levels in _LEVELS:
        values = torch.arange(levels, dtype=torch.float64) / (levels - 1)
        data = values.float().reshape(-1, 1)
        fitted = copy.deepcopy(codec).fit([data], levels)
        back = fitted.decode(fitted.encode(data))
        require(torch.equal(back, data), f"{name} must give {levels} levels back bit for bit.")


def _check_gaps(codec: Codec, name: str) -> None:
    data = _continuous()
    gaps = Streams.of(3, len(data)).uniform(tuple(data.shape[1:])) < 0.3
    holed = data.masked_fill(gaps, math.nan)
    fitted = copy.deepcopy(codec).fit([holed])
    x_0 = fitted.encode(holed)
    require(bool((x_0[gaps] == 0.0).all()), f"{name} must encode what is missing as 0.")
    agree(fitted.decode(x_0)[~gaps], data[~gaps], 1e-12, f"what is known, through {name}")
    again = copy.deepcopy(codec).fit([holed, torch.full_like(holed, math.nan)])
    require(torch.equal(again.encode(holed), x_0), f"{name} must measure what is known alone.")
    try:
        copy.deepcopy(codec).fit([data], 17)
    except UserError:
        return
    raise AssertionError(f"{name} takes gaps and must refuse data of levels with a UserError.")


def _check_tokens(codec: Levels, name: str) -> None:
    count = int(codec.levels)
    data = (torch.arange(count, dtype=torch.float64) / (count - 1)).float().reshape(-1, 1)
    tokens = codec.fit([data], count).encode(data)
    require(torch.equal(tokens.flatten(), torch.arange(count)), f"{name} must count from 0.")
    require(torch.equal(codec.decode(tokens), data), f"{name} must give its levels back.")
    for other in (None, count + 1):
        try:
            codec.fit([data], other)
        except UserError:
            continue
        raise AssertionError(f"{name} must refuse {other} levels with a UserError.")


def _continuous() -> Tensor:
    return 3.0 + 2.5 * Streams.of(2, 40).normal((2, 3), torch.float64)


def _check_log_det(codec: Codec, example: Tensor, name: str) -> None:
    jacobian = torch.autograd.functional.jacobian(
        lambda flat: codec.encode(flat.reshape(1, *example.shape)).flatten(), example.flatten()
    )
    wanted = torch.linalg.slogdet(jacobian).logabsdet.item()
    require(math.isfinite(wanted), f"encode of {name} must be invertible.")
    agree(codec.log_det(tuple(example.shape)), wanted, 1e-10, f"log_det of {name}")


def _check_refusals(codec: Codec, data: Tensor, name: str) -> None:
    spoilt = data.clone()
    spoilt[3, 0, 0] = math.inf if codec.gaps else math.nan
    cases = {"data that never vary": torch.full_like(data, 0.5), "data not finite": spoilt}
    for case, bad in cases.items():
        try:
            copy.deepcopy(codec).fit([bad])
        except UserError:
            continue
        raise AssertionError(f"{name} must refuse {case} with a UserError.")
