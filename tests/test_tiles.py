"""Tiles: what a denoiser of small pictures believes of a large one, against the whole."""

import math
from dataclasses import dataclass, replace

import pytest
import torch
from pictures import refused

from hush.denoisers import Denoiser
from hush.distributions import Gaussian
from hush.guidance import ClassifierFree, Guidance, Tiled
from hush.guidance.tiles import windows
from hush.processes import CategoricalProcess, GaussianProcess
from hush.rng import Streams
from hush.samplers import Ancestral, Heun, Multistep, walk
from hush.samplers.grids import LogSNR
from hush.schedules import Cosine
from hush.testing import GaussianMixture, MixtureDenoiser
from hush.testing.guidance import check_guidance

PROCESS = GaussianProcess(Cosine())
GREYS = GaussianMixture.of([0.3, 0.5, 0.2], [[-0.8], [0.1], [0.9]], [0.01, 0.04, 0.02])
TILED = Tiled((8, 10), overlap=4, at_once=5)  # of 19 by 23: 4 rows of 4, the last ones shifted
SHAPE = (3, 2, 19, 23)


def noise(*shape, seed=0):
    return Streams.of(seed, shape[0]).normal(shape[1:], torch.float64)


def close(got, wanted, allowed=1e-12):
    torch.testing.assert_close(got, wanted, atol=allowed, rtol=allowed)


class Pixels(Denoiser):
    """The exact denoiser of pixels that are each a draw from `GREYS`; a label (batch,) holds all
    pixels of a sample to one component."""

    def __init__(self, spread=True):
        super().__init__()
        self.process, self.spread = PROCESS, spread

    def forward(self, x_t, t, cond=None):
        exact = MixtureDenoiser(self.process, GREYS, self.spread)
        count = x_t[0].numel()
        level = self.process.schedule.level(t)
        own = [p.repeat_interleave(count) if isinstance(p, torch.Tensor) else p for p in level]
        given = None if cond is None else cond.repeat_interleave(count)
        belief = exact(x_t.reshape(-1, 1), type(level)(*own), given)
        variance = belief.variance.reshape(x_t.shape) if self.spread else 0.0
        return Gaussian(belief.mean.reshape(x_t.shape), variance)


class Reaching(Denoiser):
    """A mean and a variance that see `reach` pixels around each, and zeros beyond the picture."""

    def __init__(self, reach):
        super().__init__()
        self.process, self.reach = PROCESS, reach
        self.kernel = noise(2, 2, 2 * reach + 1, 2 * reach + 1, seed=9)

    def forward(self, x_t, t, cond=None):
        seen = torch.nn.functional.conv2d(x_t, self.kernel.to(x_t), padding=self.reach)
        return Gaussian(seen, seen[:, :1] ** 2 + 0.1)


class Recorded(Denoiser):
    """Another denoiser, with what it was asked kept in `asked`."""

    def __init__(self, denoiser):
        super().__init__()
        self.denoiser, self.process, self.asked = denoiser, denoiser.process, []

    def forward(self, x_t, t, cond=None):
        self.asked.append((x_t, t, cond))
        return self.denoiser(x_t, t, cond)


# -- weights --------------------------------------------------------------------------------------


def laid_out(length, side, overlap):
    """(tile, length): every tile's weights at their places."""
    found = windows(length, side, overlap)
    laid = torch.zeros(len(found), length, dtype=torch.float64)
    for row, (first, weights) in zip(laid, found, strict=True):
        assert 0 <= first <= length - len(weights)
        row[first : first + side] = weights
    return laid


@pytest.mark.parametrize("side", [1, 2, 3, 8, 13, 16])
def test_weights_sum_to_one_shun_edges_and_change_slowly(side):
    for overlap in range(side):
        rise = max(overlap - 2 * (overlap // 4), 1)
        step = math.sin(math.pi / (2 * rise))
        for length in range(side, 4 * side):
            laid = laid_out(length, side, overlap)
            close(laid.sum(0), torch.ones(length, dtype=torch.float64), 1e-15)
            assert laid.min() >= 0
            regular = (length - side) % (side - overlap) == 0 and 2 * overlap <= side
            if length > side:
                largest = laid.diff(dim=1).abs().max()
                assert largest <= step * (1 + 1e-12 if regular else 1.2)
            if length > side and regular and rise % 2 == 0:
                close(largest, torch.tensor(step, dtype=torch.float64))
            for first, weights in windows(length, side, overlap):
                assert first == 0 or not weights[: overlap // 4].any()
                last = weights[len(weights) - overlap // 4 :]
                assert first + side >= length or not last.any()


# -- the whole ------------------------------------------------------------------------------------


@pytest.mark.parametrize("spread", [True, False])
def test_of_independent_pixels_the_tiles_say_what_the_whole_says(spread):
    denoiser, x = Pixels(spread), noise(*SHAPE)
    times = torch.tensor([0.1, 0.5, 0.9], dtype=torch.float64)
    for moment in (0.02, 0.5, 1.0, PROCESS.schedule.level(0.3), times):
        for cond in (None, torch.tensor([2, -1, 0])):
            whole, pieced = (d(x, moment, cond) for d in (denoiser, TILED(denoiser)))
            close(pieced.mean, whole.mean)
            close(pieced.spread.expand_as(x), whole.spread.expand_as(x))
            assert pieced.is_point is not spread


@pytest.mark.parametrize("overlap", [0, 3, 4, 8, 11])
def test_what_reaches_no_farther_than_a_quarter_of_the_overlap_sees_the_whole(overlap):
    """And no farther than that: one pixel more, and the tiles are seen."""
    x, tiled = noise(*SHAPE), Tiled(12, overlap)
    for reach in range(overlap // 4 + 1):
        denoiser = Reaching(reach)
        whole, pieced = denoiser(x, 0.5), tiled(denoiser)(x, 0.5)
        close(pieced.mean, whole.mean)
        close(pieced.spread, whole.spread)
    blind = Reaching(overlap // 4 + 1)
    off = (tiled(blind)(x, 0.5).mean - blind(x, 0.5).mean).abs()
    assert off.max() > 0.1
    # Where one tile alone is, and its edge farther off than the reach, nothing is.
    down, across = (min(windows(n, 12, overlap)[1][0], 12 - blind.reach) for n in SHAPE[2:])
    assert off[..., :down, :across].max() < 1e-12


@pytest.mark.parametrize("sampler", [Ancestral(1.0), Ancestral(0.0), Heun(), Multistep(order=3)])
def test_a_walk_of_tiles_is_the_walk_of_the_whole(sampler):
    rng, cond = Streams.of(3, 3), torch.tensor([0, 2, -1])
    x, levels = noise(*SHAPE), LogSNR(8)(PROCESS.schedule)
    guided = ClassifierFree(2.0)(Pixels())
    ends = [
        list(walk(sampler, denoiser, x, levels, rng, cond))[-1].x
        for denoiser in (guided, TILED(guided), ClassifierFree(2.0)(TILED(Pixels())))
    ]
    assert ends[0].std() > 0.3
    close(ends[1], ends[0], 1e-9)
    close(ends[2], ends[0], 1e-9)


def test_blending_beliefs_is_blending_the_steps_of_the_tiles():
    """MultiDiffusion's own statement: the step of the whole is the weighted mean of the steps that
    each tile would take by itself, here of a denoiser whose tiles disagree."""
    denoiser, x, rng = Reaching(4), noise(*SHAPE), Streams.of(5, 3)
    t, s = (PROCESS.schedule.level(time) for time in (0.6, 0.4))
    *_, whole = walk(Ancestral(0.0), TILED(mean_of(denoiser)), x, [t, s], rng)
    blended = torch.zeros_like(x)
    for top, down in windows(19, 8, 4):
        for left, across in windows(23, 10, 4):
            place = (..., slice(top, top + 8), slice(left, left + 10))
            *_, tile = walk(Ancestral(0.0), mean_of(denoiser), x[place], [t, s], rng)
            blended[place] += torch.outer(down, across) * tile.x
    close(whole.x, blended)


def mean_of(denoiser):
    """The mean of a denoiser alone."""

    class Mean(Denoiser):
        process = PROCESS

        def forward(self, x_t, t, cond=None):
            return replace(denoiser(x_t, t, cond), variance=0.0)

    return Mean()


# -- seams ----------------------------------------------------------------------------------------


class Framed(Denoiser):
    """A belief of 0 with a frame of ones, `width` pixels wide, around whatever it is shown."""

    process = PROCESS

    def __init__(self, width):
        super().__init__()
        self.width = width

    def forward(self, x_t, t, cond=None):
        mean, inside = torch.ones_like(x_t), slice(self.width, -self.width)
        mean[..., inside, inside] = 0.0
        return Gaussian(mean)


def test_what_a_denoiser_gets_wrong_at_edges_is_not_there():
    """The frame of a tile vanishes but for the picture's own; one a pixel wider shows."""
    x, tiled = noise(1, 1, 40, 52), Tiled(16, overlap=8)
    shown = tiled(Framed(2))(x, 0.5).mean
    close(shown[..., 2:-2, 2:-2], torch.zeros(1, 1, 36, 48, dtype=torch.float64))
    assert tiled(Framed(3))(x, 0.5).mean[..., 3:-3, 3:-3].max() > 0.01


class Told(Denoiser):
    """A flat belief: the mean of what it is shown, so that every tile says something else."""

    process = PROCESS

    def forward(self, x_t, t, cond=None):
        return Gaussian(x_t.mean((-2, -1), keepdim=True).expand_as(x_t))


@pytest.mark.parametrize("overlap", [4, 8, 16])
def test_where_tiles_disagree_no_step_is_higher_than_the_window_s(overlap):
    """Tiles that say 0 and 1: the steepest step between pixels is sin(π/2n), n the window's rise of
    half of the overlap; without overlap it is 1."""
    x = torch.zeros(1, 1, 32, 64 - overlap, dtype=torch.float64)
    x[..., 32 - overlap :] = 1.0
    x[..., : 32 - overlap] = -overlap / (32 - overlap)  # so that the mean is 0
    shown = Tiled(32, overlap)(Told())(x, 0.5).mean[0, 0]
    assert shown[0, 0] == pytest.approx(0.0, abs=1e-12)
    assert shown[0, -1] == pytest.approx(1.0, abs=1e-12)
    step = math.sin(math.pi / overlap)
    assert shown.diff(dim=1).max().item() == pytest.approx(step, rel=1e-12)
    assert shown.diff(dim=1).min() >= 0
    assert shown.diff(dim=0).abs().max() == 0
    hard = Tiled(32, 0)(Told())(torch.cat((x[..., :1].expand(1, 1, 32, 32), x[..., -32:]), -1), 0.5)
    assert hard.mean.diff(dim=-1).max() > 1.0


# -- what the denoiser is asked -------------------------------------------------------------------


def test_no_call_is_larger_than_asked_for_and_splitting_changes_nothing():
    x, cond = noise(*SHAPE), {"label": torch.arange(3), "given": noise(*SHAPE, seed=1)}
    found = []
    for at_once in (1, 5, 7, 64):
        recorded = Recorded(Reaching(3))
        found.append(replace(TILED, at_once=at_once)(recorded)(x, 0.5, cond).mean)
        sizes = [len(asked) for asked, _, _ in recorded.asked]
        assert sum(sizes) == 3 * 4 * 4
        assert max(sizes) == min(at_once, 48)
        assert len(sizes) == math.ceil(48 / at_once)
        assert {tuple(asked.shape[1:]) for asked, _, _ in recorded.asked} == {(2, 8, 10)}
    for other in found[1:]:
        close(other, found[0])


def test_a_sample_s_belief_does_not_depend_on_its_neighbours():
    x, denoiser = noise(*SHAPE), TILED(Reaching(3))
    whole = denoiser(x, 0.5).mean
    close(torch.cat([denoiser(part, 0.5).mean for part in x.split(1)]), whole)


class Conditioned(Denoiser):
    """gain·x + shift + label, where `shift` is a picture and the others are not."""

    process = PROCESS

    def forward(self, x_t, t, cond=None):
        gain, label = cond["gain"].reshape(-1, 2, 1, 1), cond["label"].reshape(-1, 1, 1, 1)
        return Gaussian(gain * x_t + cond["shift"] + label)


def test_the_part_of_a_condition_that_is_a_picture_is_cut_and_the_rest_repeated():
    x = noise(*SHAPE)
    cond = {
        "shift": noise(3, 1, 19, 23, seed=2),
        "gain": noise(3, 2, seed=3),
        "label": torch.arange(3),
    }
    close(TILED(Conditioned())(x, 0.5, cond).mean, Conditioned()(x, 0.5, cond).mean)


def test_features_are_no_picture_though_there_be_as_many_as_pixels():
    recorded, features = Recorded(Reaching(0)), noise(23, 19, seed=4)
    TILED(recorded)(noise(23, 2, 23, 19), 0.5, features)
    asked = torch.cat([given for _, _, given in recorded.asked])
    assert torch.equal(asked, features.repeat_interleave(5 * 3, 0))


def test_a_picture_no_larger_than_a_tile_is_asked_about_as_it_is():
    for shape in ((2, 1, 8, 10), (2, 1, 3, 4)):
        recorded, x, cond = Recorded(Pixels()), noise(*shape), torch.tensor([1, 2])
        belief = TILED(recorded)(x, 0.5, cond)
        ((asked, moment, given),) = recorded.asked
        assert asked is x
        assert moment == 0.5
        assert given is cond
        assert torch.equal(belief.mean, Pixels()(x, 0.5, cond).mean)
    recorded = Recorded(Pixels())
    TILED(recorded)(noise(1, 1, 5, 30), 0.5)  # narrow one way: tiles along the other
    assert {tuple(asked.shape[1:]) for asked, _, _ in recorded.asked} == {(1, 5, 10)}


TALL = Tiled((2, 1), overlap=0, at_once=3)


class Broad(Denoiser):
    """A denoiser of 2 by 2 pictures, asked about smaller ones too: the rest is taken to be 0."""

    def __init__(self, denoiser):
        super().__init__()
        self.denoiser, self.process = denoiser, denoiser.process

    def forward(self, x_t, t, cond=None):
        down, across = x_t.shape[-2:]
        padded = torch.nn.functional.pad(x_t, (0, 2 - across, 0, 2 - down))
        belief = self.denoiser(padded, t, cond)
        variance = belief.spread.expand_as(padded)[..., :down, :across]
        mean = belief.mean[..., :down, :across]
        return replace(belief, mean=mean, variance=0.0 if belief.is_point else variance)


@dataclass(frozen=True)
class Small(Guidance):
    """`Tiled` for the pictures of the suite, which are 2 by 2."""

    tiled: Tiled = TALL

    def __call__(self, denoiser):
        return self.tiled(Broad(denoiser))


@pytest.mark.parametrize("tiled", [Tiled(), Small(), Small(Tiled(1))], ids=repr)
def test_tiles_keep_the_laws_of_every_guidance(tiled):
    check_guidance(tiled)


def test_impossible_tiles():
    for size in (0, -3, (8, 0)):
        refused(lambda size=size: Tiled(size), f"size={size}", "at least 1 pixel")
    for overlap in (-1, 8, 9):
        refused(lambda overlap=overlap: Tiled((9, 8), overlap), f"overlap={overlap}", "8 pixels")
    refused(lambda: Tiled(8, 4, at_once=0), "at_once=0", "at least 1")
    refused(lambda: Tiled(2)(Pixels())(noise(2, 9, 9), 0.5), "(2, 9, 9)", "height, width")
    tokens = Pixels()
    tokens.process = CategoricalProcess()
    refused(lambda: Tiled(2)(tokens), "Tiled moves the mean", "CategoricalProcess")


class Numbered(Denoiser):
    """Believes that x_0 is the number of the sample, and must have a stream for each."""

    def __init__(self, rng):
        super().__init__()
        self.process, self.rng = GaussianProcess(Cosine()), rng

    def among(self, samples):
        return Numbered(self.rng[samples])

    def forward(self, x_t, t, cond=None):
        assert len(self.rng) == len(x_t)
        number = self.rng.index.to(x_t).reshape(-1, 1, 1, 1)
        return Gaussian(number.expand_as(x_t), 0.0)


def test_a_tile_is_asked_about_with_the_stream_of_its_sample():
    belief = Tiled((8, 8))(Numbered(Streams.of(0, 3, 5)))(torch.zeros(3, 1, 20, 13), 0.5)
    wanted = torch.arange(5.0, 8.0).reshape(3, 1, 1, 1).expand(3, 1, 20, 13)
    torch.testing.assert_close(belief.mean, wanted)
