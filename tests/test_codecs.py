"""Codecs give back what they were given, to the level; what they measure is what the data are."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hush.codecs import Range, Standard
from hush.errors import UserError
from hush.rng import Streams


def levels_of(count):
    return (torch.arange(count, dtype=torch.float64) / (count - 1)).float().reshape(-1, 1)


@pytest.mark.parametrize("codec", [Range, Standard])
@pytest.mark.parametrize("levels", [2, 17, 256, 65536])
def test_every_level_comes_back_bit_for_bit(codec, levels):
    data = levels_of(levels)
    fitted = codec().fit([data], levels)
    assert torch.equal(fitted.decode(fitted.encode(data)), data)


@pytest.mark.parametrize("levels", [17, 256])
def test_decode_goes_to_the_nearest_level(levels):
    data = levels_of(levels)
    codec = Range().fit([data], levels)
    jolt = 0.98 * (Streams.of(0, levels).uniform((1,)).float() - 0.5) * 2.0 / (levels - 1)
    assert torch.equal(codec.decode(codec.encode(data) + jolt), data)


def test_range_goes_to_minus_one_and_one():
    data = Streams.of(1, 30).uniform((2, 2)) * 7.0 - 3.0
    x_0 = Range().fit([data[:10], data[10:]]).encode(data)
    assert (x_0.min().item(), x_0.max().item()) == pytest.approx((-1.0, 1.0), abs=1e-14)


@pytest.mark.parametrize("deviation", [0.5, 1.0, 2.0])
def test_standard_has_mean_0_and_the_deviation_that_was_asked(deviation):
    data = 40.0 + 3.0 * Streams.of(1, 500).normal((4,), torch.float64)
    x_0 = Standard(deviation).fit(data.split(77)).encode(data)
    assert x_0.mean().item() == pytest.approx(0.0, abs=1e-12)
    assert x_0.std(correction=0).item() == pytest.approx(deviation, rel=1e-10)


@pytest.mark.parametrize("offset", [0.0, 1e5, -1e8, 1.7e9])
def test_data_far_from_zero_keep_their_deviation(offset):
    """The variance as E x² - (E x)² has none of its digits left at an offset of 10⁸."""
    data = offset + 0.25 * Streams.of(1, 500).normal((4,), torch.float64)
    x_0 = Standard(1.0).fit(data.split(77)).encode(data)
    assert x_0.mean().item() == pytest.approx(0.0, abs=1e-5)
    assert x_0.std(correction=0).item() == pytest.approx(1.0, rel=1e-6)


@settings(max_examples=40, deadline=None)
@given(st.floats(-1e3, 1e3), st.floats(1e-2, 1e3), st.integers(1, 5))
def test_continuous_data_of_any_range_come_back(shift, scale, parts):
    data = shift + scale * Streams.of(3, 20).uniform((3,))
    for codec in (Range(), Standard()):
        fitted = codec.fit(data.split(-(-20 // parts)))
        torch.testing.assert_close(fitted.decode(fitted.encode(data)), data, rtol=1e-12, atol=1e-12)


def test_what_is_decoded_stays_in_the_range_that_was_measured():
    data = Streams.of(1, 30).uniform((2,)) * 0.6 + 0.2
    for codec in (Range().fit([data]), Standard().fit([data])):
        wild = codec.decode(torch.tensor([[-1e6, 1e6]], dtype=torch.float64))
        assert wild.flatten().tolist() == [data.min().item(), data.max().item()]


@pytest.mark.parametrize("codec", [Range, Standard])
def test_log_det_makes_a_density_of_x_0_one_of_data(codec):
    """∫ p_data = 1 when log p_data = log p_{x_0}(encode) + log_det."""
    data = 5.0 + 2.0 * Streams.of(0, 100).normal((1,), torch.float64)
    fitted = codec().fit([data])
    grid = torch.linspace(-60, 70, 200_001, dtype=torch.float64).reshape(-1, 1)
    x_0 = fitted.encode(grid)
    log_p = -0.5 * (x_0**2 + math.log(math.tau)) + fitted.log_det((1,))
    assert (log_p.exp().sum() * 130 / 200_000).item() == pytest.approx(1.0, abs=1e-6)
    assert fitted.log_det((3, 4)) == pytest.approx(12 * fitted.log_det((1,)))


def test_bits_per_dimension_of_eight_bit_data_are_seven_more_in_minus_one_to_one():
    """C7: from 256 levels of width 1/255 in [0, 1] to [-1, 1], the scale is 2."""
    codec = Range().fit([levels_of(256)], 256)
    assert codec.log_det((1,)) / math.log(2) == pytest.approx(1.0)


@pytest.mark.parametrize("codec", [Range, Standard])
@pytest.mark.parametrize(
    "bad", [torch.full((4, 2), 0.5), torch.tensor([[0.0, math.inf]]), torch.tensor([[math.nan]])]
)
def test_data_that_say_nothing_are_refused_in_a_sentence(codec, bad):
    with pytest.raises(UserError, match=r"The data range from .* to .*: a model needs finite"):
        codec().fit([bad])


@pytest.mark.parametrize("codec", [Range, Standard])
def test_no_data_at_all_are_refused(codec):
    with pytest.raises(UserError, match="The data range"):
        codec().fit([])


@pytest.mark.parametrize("codec", [Range, Standard])
@pytest.mark.parametrize("where", [0, 1])
def test_a_nan_is_refused_wherever_it_hides(codec, where):
    batches = [torch.tensor([[0.0, 1.0]]), torch.tensor([[0.2, 0.9]])]
    batches[where][0, 1] = math.nan
    with pytest.raises(UserError, match="finite"):
        codec().fit(batches)


def test_what_was_measured_travels_in_the_state_dict():
    data = levels_of(17)
    fitted, fresh = Standard().fit([data], 17), Standard()
    fresh.load_state_dict(fitted.state_dict())
    assert torch.equal(fresh.encode(data), fitted.encode(data))
    assert torch.equal(fresh.decode(fitted.encode(data)), data)
