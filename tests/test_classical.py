"""Classical answers against closed forms, scipy, pillow and scikit-image."""

import numpy as np
import pytest
import torch
from jaxtyping import TypeCheckError
from PIL import Image
from scipy import ndimage
from skimage.restoration import inpaint_biharmonic

from hush.errors import UserError
from hush.evaluation import (
    answers,
    auroc,
    bicubic,
    biharmonic,
    blur_residual,
    difference,
    fit_autoencoder,
    fit_regression,
    median,
    pca_fill,
    replicated,
)
from hush.evaluation.principal import Moments
from hush.networks import Backbone
from hush.testing import FullGaussian, LinearGaussian

torch.set_num_threads(1)

SMALL = Backbone(width=16, multipliers=(1, 2), blocks=1, attention=(), dropout=0.0)


def uniform(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def holes(height, width):
    """Three masks: one in the middle, one that reaches the corners, single pixels."""
    mask = torch.ones(3, 1, height, width, dtype=torch.bool)
    mask[0, 0, 3:9, 4:11] = False
    mask[1, 0, :4, :5] = False
    mask[1, 0, -6:, 6:] = False
    mask[2, 0] = uniform(height, width, seed=9) < 0.6
    return mask


def test_bicubic_is_that_of_pillow_and_keeps_quadratics():
    low = uniform(1, 1, 9, 7).float()
    wanted = np.array(Image.fromarray(low[0, 0].numpy()).resize((28, 36), Image.Resampling.BICUBIC))
    np.testing.assert_allclose(bicubic(low, 4)[0, 0], wanted.clip(0.0, 1.0), atol=1e-6)
    i = torch.arange(10).double()
    fine = (torch.arange(30).double() + 0.5) / 3.0 - 0.5
    row = bicubic((0.01 * i**2).expand(1, 2, 4, 10), 3)[0, 1, 5]
    torch.testing.assert_close(row[6:-6], 0.01 * fine[6:-6] ** 2)


def test_replicated_edges_go_on_outwards():
    whole = uniform(2, 3, 12, 15)
    mask = torch.zeros(1, 1, 12, 15, dtype=torch.bool)
    mask[..., 2:9, 4:13] = True
    answer = replicated(torch.where(mask, whole, torch.nan), mask)
    sides = ((0, 0), (0, 0), (2, 3), (4, 2))
    wanted = np.pad(whole[..., 2:9, 4:13].numpy(), sides, mode="edge")
    np.testing.assert_array_equal(answer, wanted)


def test_biharmonic_keeps_cubics():
    i, j = (0.05 * torch.arange(n).double() for n in (14, 17))
    i = i.unsqueeze(1)
    cubic = 0.1 + i**3 + 0.5 * i**2 * j + 0.2 * i * j**2 + 0.3 * j**3 + 0.1 * i * j  # grows
    mask = torch.ones(1, 1, 14, 17, dtype=torch.bool)
    mask[..., 2:9, 4:13] = False  # two pixels from the edges: Δ² reaches no mirror
    picture = cubic.expand(1, 2, 14, 17)
    answer = biharmonic(torch.where(mask, picture, torch.nan), mask)
    torch.testing.assert_close(answer, picture.clone(), atol=1e-12, rtol=0.0)


def test_biharmonic_is_that_of_scikit_image_to_the_very_edge():
    pictures, mask = uniform(3, 2, 13, 16, seed=1), holes(13, 16)
    answer = biharmonic(pictures, mask)
    for found, picture, known in zip(answer, pictures, mask, strict=True):
        wanted = inpaint_biharmonic(picture.numpy(), ~known[0].numpy(), channel_axis=0)
        np.testing.assert_allclose(found, wanted, atol=1e-11)
    assert torch.equal(answer[mask.expand_as(answer)], pictures[mask.expand_as(answer)])
    one = biharmonic(pictures, mask[:1])
    torch.testing.assert_close(one[:1], answer[:1])
    whole = torch.ones(1, 1, 13, 16, dtype=torch.bool)
    assert torch.equal(biharmonic(pictures, whole), pictures)


def test_pca_fill_is_the_posterior_mean_of_the_gaussian():
    axes = 0.05 * uniform(5, 2 * 6 * 7, seed=2)
    train = 0.3 + (uniform(300, 5, seed=3) @ axes + 0.02 * uniform(300, 84, seed=4))
    train = train.reshape(300, 2, 6, 7)
    moments = Moments.of(train)
    assert len(moments.values) >= 5
    lead = (moments.axes.T * (moments.values - moments.rest)) @ moments.axes
    data = FullGaussian(moments.mean.flatten(), lead + moments.rest * torch.eye(84).double())
    pictures, mask = train[:2].clone(), torch.ones(2, 1, 6, 7, dtype=torch.bool)
    mask[0, 0, :, 3:], mask[1, 0, 1:4, 2:] = False, False
    hidden = torch.where(mask, pictures, torch.nan)
    answer = pca_fill(hidden, mask, train)
    for found, picture, known in zip(answer, pictures, mask, strict=True):
        seen = known.expand(2, 6, 7).flatten()
        problem = LinearGaussian(data, torch.eye(84).double()[seen], 0.0)
        law = problem.given(picture.flatten()[seen].unsqueeze(0))
        torch.testing.assert_close(found.flatten(), law.mean[0], atol=1e-10, rtol=0.0)


def test_blur_residual_median_and_difference_are_scipys_and_the_formula():
    pictures = uniform(2, 3, 12, 14, seed=5)
    array = pictures.numpy()
    blurred = ndimage.gaussian_filter(array, 2.0, mode="nearest", truncate=3.5, axes=(2, 3))
    np.testing.assert_allclose(
        blur_residual(pictures), abs(array - blurred).mean(1, keepdims=True), atol=1e-12
    )
    for side in (1, 3, 5):
        wanted = ndimage.median_filter(array, (1, 1, side, side), mode="nearest")
        np.testing.assert_array_equal(median(pictures, side), wanted)
    torch.testing.assert_close(
        difference(pictures, pictures + 0.1), torch.full((2, 1, 12, 14), 0.1).double()
    )


@pytest.mark.parametrize(("power", "wanted"), [(1, 0.2), (2, 0.35)])
def test_a_regression_that_can_know_nothing_answers_the_median_or_the_mean(power, wanted):
    whole = torch.full((64, 1, 8, 8), 0.2)
    whole[::4] = 0.8
    spoilt = uniform(1, 2, 8, 8).float().repeat(64, 1, 1, 1)
    network = fit_regression(
        SMALL, spoilt, whole, steps=100, batch=64, learning_rate=5e-3, power=power
    )
    found = answers(network, spoilt[:1])
    torch.testing.assert_close(found, torch.full_like(found, wanted), atol=0.05, rtol=0.0)


def test_a_regression_learns_what_is_asked_alike_for_one_seed():
    whole = uniform(256, 1, 4, 4).float().repeat_interleave(2, 2).repeat_interleave(2, 3)
    spoilt = 1.0 - whole  # a negative, which has one answer
    network = fit_regression(SMALL, spoilt, whole, steps=200, power=2)
    error = (answers(network, spoilt) - whole).square().mean()
    assert float(error) < 0.01 * float(whole.var())
    torch.manual_seed(123)  # which changes nothing
    again = fit_regression(SMALL, spoilt, whole, steps=5)
    other = fit_regression(SMALL, spoilt, whole, steps=5)
    third = fit_regression(SMALL, spoilt, whole, steps=5, seed=1)
    assert torch.equal(answers(again, spoilt), answers(other, spoilt))
    assert not torch.equal(answers(again, spoilt), answers(third, spoilt))
    assert not any(weight.requires_grad for weight in network.parameters())


def test_an_autoencoder_repeats_what_it_knows_and_not_a_blob():
    i = torch.linspace(-1.0, 1.0, 16)
    slopes = 0.4 * (uniform(256, 2, seed=6).float() - 0.5)
    planes = (
        0.5
        + slopes[:, 0].reshape(-1, 1, 1, 1) * i
        + slopes[:, 1].reshape(-1, 1, 1, 1) * i.unsqueeze(1)
    )
    network = fit_autoencoder(planes[:192], steps=200)
    held = planes[192:]
    error = (answers(network, held) - held).square().mean()
    assert float(error) < 0.05 * float(held.var())
    truth = torch.zeros(64, 1, 16, 16, dtype=torch.bool)
    truth[..., 5:9, 7:11] = True
    blobs = torch.where(truth, held + 0.25, held)
    assert auroc(difference(blobs, answers(network, blobs)), truth) > 0.95


@pytest.mark.parametrize("fill", [replicated, biharmonic])
def test_masks_that_do_not_fit_are_refused(fill):
    pictures = uniform(2, 1, 6, 6)
    with pytest.raises(UserError, match="expected a mask of"):
        fill(pictures, torch.ones(2, 1, 6, 7, dtype=torch.bool))
    with pytest.raises(UserError, match="expected a mask of"):
        fill(pictures, torch.ones(3, 1, 6, 6, dtype=torch.bool))
    with pytest.raises(UserError, match="without a known pixel"):
        fill(pictures, torch.zeros(1, 1, 6, 6, dtype=torch.bool))


def test_what_does_not_fit_is_refused_in_words():
    pictures = uniform(4, 1, 6, 6).float()
    with pytest.raises((UserError, TypeCheckError)):
        pca_fill(pictures, pictures > 2.0, uniform(9, 1, 6, 7).float())
    with pytest.raises(UserError, match="odd number"):
        median(pictures, 2)
    with pytest.raises((UserError, TypeCheckError)):
        fit_regression(SMALL, pictures, uniform(4, 1, 6, 7).float())
