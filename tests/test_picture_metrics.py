"""Metrics of pictures against closed forms, brute force, scikit-image and scikit-learn."""

import math

import pytest
import torch
from jaxtyping import TypeCheckError
from skimage import data
from skimage.metrics import structural_similarity
from sklearn.metrics import f1_score, jaccard_score, roc_auc_score

from hush.errors import UserError
from hush.evaluation import (
    auroc,
    best_threshold,
    bicubic,
    consistency,
    dice,
    diversity,
    f1,
    fitted_gaussian,
    frechet,
    interval,
    median,
    miou,
    patch_space,
    psnr,
    ssim,
)
from hush.evaluation.baselines import pixel_space

torch.set_num_threads(1)


def uniform(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def spoilt(pictures, seed=1):
    return (pictures + 0.3 * (uniform(*pictures.shape, seed=seed) - 0.5)).clamp(0.0, 1.0)


# pictures


def test_psnr_of_an_offset_is_its_logarithm():
    truth = 0.5 * uniform(4, 3, 7, 5)
    offsets = torch.tensor([0.0, 0.5, 0.1, 0.001]).double()
    found = psnr(truth + offsets.reshape(4, 1, 1, 1), truth)
    assert found[0] == math.inf
    torch.testing.assert_close(found[1:], -20.0 * offsets[1:].log10())


@pytest.mark.parametrize("shape", [(1, 1, 11, 11), (3, 3, 17, 23), (2, 4, 40, 12)])
def test_ssim_is_that_of_scikit_image(shape):
    truth = uniform(*shape)
    answer = spoilt(truth)
    found = ssim(answer, truth)
    for value, a, b in zip(found, answer, truth, strict=True):
        wanted = structural_similarity(
            a.numpy(), b.numpy(), channel_axis=0, data_range=1.0, gaussian_weights=True,
            sigma=1.5, use_sample_covariance=False,
        )  # fmt: skip
        assert float(value) == pytest.approx(wanted, abs=1e-12)
    torch.testing.assert_close(ssim(truth, answer), found)
    torch.testing.assert_close(ssim(answer.float(), truth.float()), found, atol=1e-6, rtol=0.0)
    torch.testing.assert_close(ssim(truth, truth), torch.ones_like(found))


def test_ssim_of_flat_pictures_is_the_term_of_light():
    a, b = (torch.full((1, 2, 16, 16), level) for level in (0.2, 0.7))
    wanted = (2 * 0.2 * 0.7 + 1e-4) / (0.2**2 + 0.7**2 + 1e-4)
    assert float(ssim(a, b)) == pytest.approx(wanted, rel=1e-6)


def test_consistency_sees_the_means_of_squares_and_nothing_else():
    low = 0.2 + 0.5 * uniform(2, 3, 4, 6)
    large = low.repeat_interleave(4, 2).repeat_interleave(4, 3)
    board = (torch.arange(16).unsqueeze(1) + torch.arange(24)) % 2 - 0.5
    torch.testing.assert_close(consistency(large + 0.2 * board, low, 4), torch.zeros(2).double())
    shifted = consistency(large + torch.tensor([0.1, 0.03]).reshape(2, 1, 1, 1), low, 4)
    torch.testing.assert_close(shifted, torch.tensor([0.1**2, 0.03**2]).double())


def test_diversity_is_the_mean_distance_of_pairs():
    levels = torch.tensor([[0.1, 0.4, 0.6], [0.3, 0.3, 0.3]])
    flat = levels.reshape(2, 3, 1, 1, 1).expand(2, 3, 3, 8, 8)
    wanted = torch.tensor([(0.3 + 0.5 + 0.2) / 3, 0.0]).double()
    torch.testing.assert_close(diversity(flat), wanted, atol=1e-7, rtol=0.0)
    one, other = uniform(2, 1, 3, 8, 8)
    pair = torch.stack((one, other), 1)
    torch.testing.assert_close(diversity(pair), (one - other).square().mean().sqrt().reshape(1))


# detection


@pytest.mark.parametrize("levels", [3, 20, 10**6])  # few levels: many ties
def test_auroc_is_that_of_all_pairs_ties_too(levels):
    truth = uniform(3, 1, 9, 11) < 0.3
    scores = ((uniform(3, 1, 9, 11, seed=2) + 0.3 * truth) * levels).floor()
    found = auroc(scores, truth)
    gaps = scores[truth].unsqueeze(1) - scores[~truth]
    assert found == pytest.approx(
        float(((gaps > 0) + 0.5 * (gaps == 0)).double().mean()), abs=1e-14
    )
    flat = truth.flatten().numpy(), scores.flatten().numpy()
    assert found == pytest.approx(roc_auc_score(*flat), abs=1e-12)
    assert auroc(-scores, truth) == pytest.approx(1.0 - found, abs=1e-12)
    assert auroc((scores / levels).exp(), truth) == pytest.approx(found, abs=1e-14)


def test_auroc_of_the_truth_is_1_and_of_a_constant_a_half():
    truth = torch.tensor([True, False, False, True, False])
    assert auroc(truth.double(), truth) == 1.0
    assert auroc(torch.full((5,), 0.3), truth) == 0.5


def test_dice_and_f1_count_what_is_found():
    prediction = torch.tensor([[1, 1, 0, 0], [0, 0, 0, 0], [0, 1, 0, 0], [1, 1, 1, 0]]).bool()
    truth = torch.tensor([[1, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0], [1, 1, 1, 0]]).bool()
    torch.testing.assert_close(
        dice(prediction, truth), torch.tensor([2 / 3, 1.0, 0.0, 1.0]).double()
    )
    wanted = f1_score(truth.flatten(), prediction.flatten())
    assert f1(prediction, truth) == pytest.approx(wanted, abs=1e-14)


@pytest.mark.parametrize("levels", [4, 10**6])
def test_the_best_threshold_is_that_of_all(levels):
    truth = uniform(2, 5, 7) < 0.3
    scores = ((uniform(2, 5, 7, seed=3) + 0.4 * truth) * levels).floor()
    threshold = best_threshold(scores, truth)
    every = {float(value): f1(scores >= value, truth) for value in scores.unique()}
    assert f1(scores >= threshold, truth) == max(every.values())
    assert threshold == max(value for value in every if every[value] == max(every.values()))


def test_miou_is_the_mean_jaccard_index_of_the_classes_that_occur():
    truth = (4 * uniform(3, 6, 6)).long()
    prediction = torch.where(uniform(3, 6, 6, seed=4) < 0.6, truth, (3 * uniform(3, 6, 6)).long())
    wanted = jaccard_score(truth.flatten(), prediction.flatten(), average="macro")
    for classes in (4, 9):  # five classes are nowhere
        assert miou(prediction, truth, classes) == pytest.approx(wanted, abs=1e-14)
    assert miou(truth, truth, 4) == 1.0


# the interval


def test_the_interval_of_a_mean_covers_it_as_often_as_it_says():
    # Of n normal numbers the interval is ±1.96 √((n-1)/n) estimated standard errors, nearly.
    count, sets = 40, 300
    data = torch.randn(sets, count, generator=torch.Generator().manual_seed(5)).double()
    ends = torch.tensor([interval(row, lambda x: x.mean(), seed) for seed, row in enumerate(data)])
    covered = ((ends[:, 0] < 0.0) & (ends[:, 1] > 0.0)).double().mean()
    assert float(covered) == pytest.approx(0.936, abs=3 * (0.936 * 0.064 / sets) ** 0.5)
    widths = (ends[:, 1] - ends[:, 0]) / (data.std(1) / count**0.5)
    assert float(widths.mean()) == pytest.approx(2 * 1.96 * ((count - 1) / count) ** 0.5, rel=0.01)


def test_the_interval_is_of_its_seed_and_of_any_statistic():
    maps = torch.stack((uniform(50, 4, 4), (uniform(50, 4, 4, seed=6) < 0.3).double()), 1)
    maps[:, 0] += 0.3 * maps[:, 1]

    def found(rows):
        return auroc(rows[:, 0], rows[:, 1] > 0.5)

    low, high = interval(maps, found)
    assert low < found(maps) < high
    assert (low, high) == interval(maps, found)
    assert (low, high) != interval(maps, found, seed=1)
    assert interval(torch.full((9,), 0.25)) == (0.25, 0.25)


# the space of patches


def patches(photographs, count, seed):
    """Grey patches of 16x20, of photographs at half their resolution."""
    generator = torch.Generator().manual_seed(seed)
    kept = []
    for place in range(count):
        photograph = torch.from_numpy(photographs[place % len(photographs)]).float() / 255.0
        grey = photograph.reshape(*photograph.shape[:2], -1).mean(2)
        half = torch.nn.functional.avg_pool2d(grey.unsqueeze(0), 2)
        top, left = (
            int(torch.randint(side - 20, (1,), generator=generator)) for side in half.shape[1:]
        )
        kept.append(half[:, top : top + 16, left : left + 20])
    return torch.stack(kept)


def test_the_space_of_patches_tells_what_principal_components_do_not():
    train = patches([data.astronaut(), data.coffee(), data.camera(), data.rocket()], 600, 0)
    test = patches([data.chelsea(), data.coins(), data.page(), data.moon()], 600, 1)
    blurred = bicubic(torch.nn.functional.avg_pool2d(train, 2), 2)
    fakes = blurred, median(train), fitted_gaussian(train, 600, 256)
    distances = []
    for space in (patch_space(train), pixel_space(train)):
        of_test = space(test)
        floor = frechet(space(train), of_test)
        distances.append([frechet(space(fake), of_test) / floor for fake in fakes])
    assert min(distances[0]) > 2.5, distances
    assert max(distances[1]) < 2.0, distances


# errors


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: psnr(uniform(2, 1, 8, 8), uniform(2, 1, 8, 9)), ""),
        (lambda: ssim(uniform(2, 1, 8, 8), uniform(2, 1, 8, 8)), "11x11 or more"),
        (lambda: consistency(uniform(1, 1, 9, 9), uniform(1, 1, 4, 4), 2), "multiples of 2"),
        (lambda: consistency(uniform(1, 1, 8, 8), uniform(1, 1, 2, 2), 2), "expected the same"),
        (lambda: diversity(uniform(3, 1, 1, 8, 8)), "got 1 answers"),
        (lambda: auroc(uniform(3), torch.ones(3, dtype=torch.bool)), "3 elements, all true"),
        (lambda: auroc(uniform(3), torch.zeros(3, dtype=torch.bool)), "3 elements, all false"),
        (lambda: auroc(uniform(3) * math.nan, torch.tensor([True, False, True])), "NaN"),
        (lambda: best_threshold(uniform(3), torch.ones(4, dtype=torch.bool)), "the same shape"),
        (lambda: dice(torch.ones(2, 3) > 0, torch.ones(2, 4) > 0), "the same shape"),
        (lambda: miou(torch.full((3, 2), 2), torch.zeros(3, 2).long(), 2), "expected 0 to 1"),
        (lambda: interval(uniform(1)), "got 1 pictures"),
    ],
)
def test_what_does_not_fit_is_refused_in_words(call, words):
    with pytest.raises((UserError, TypeCheckError), match=words):
        call()
