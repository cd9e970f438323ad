"""Pictures from pictures: what tasks spoil, and what is answered."""

import io
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from hush import systems
from hush.codecs import Range, Residual
from hush.data.jpeg import through_jpeg
from hush.denoisers import Denoiser, GaussianDenoiser
from hush.denoisers.parameterisations import V
from hush.distributions import Gaussian
from hush.errors import UserError
from hush.guidance import Pool
from hush.networks import Backbone
from hush.processes import GaussianProcess
from hush.rng import Streams
from hush.samplers import Ancestral, Multistep
from hush.samplers.grids import LogSNR
from hush.schedules import VariancePreserving
from hush.tasks.holes import Inpaint, Uncrop
from hush.tasks.images import (
    LEVEL,
    PICTURE,
    Colourise,
    Denoise,
    Luma,
    Stage,
    Unjpeg,
    Upscale,
    grey,
)
from hush.tasks.judged import answered
from hush.tasks.masks import boxes, sides, strokes
from hush.tasks.mixed import PALETTE, Mixed
from hush.tasks.restore import answers, question, spread
from hush.testing import FullGaussian, LinearGaussian, check_linear

torch.set_num_threads(1)
SHAPE = (3, 16, 16)
TINY = Backbone(width=8, multipliers=(1, 2), blocks=1, attention=(), dropout=0.0)
TASKS = [make(SHAPE) for make in PALETTE.values()]
TASKS += [Upscale(SHAPE, factor=4), Stage(SHAPE, factor=2), Mixed(SHAPE, tasks=tuple(TASKS))]


def pictures(count=6, seed=0):
    smooth = Streams.of(seed, count).uniform((3, 4, 4)).float()
    return torch.nn.functional.interpolate(smooth, size=SHAPE[1:], mode="bilinear")


def names(task):
    return type(task).__name__


# -- masks -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("law", [boxes, strokes, sides])
def test_a_mask_is_of_its_own_stream_and_hides_some_but_not_all(law):
    rng = Streams.of(3, 200)
    mask = law(rng, 16, 24)
    assert mask.shape == (200, 1, 16, 24)
    assert torch.equal(torch.cat([law(rng[:70], 16, 24), law(rng[70:], 16, 24)]), mask)
    share = mask.double().mean((1, 2, 3))
    assert (share > 0.0).all()
    assert (share < 1.0).all()


def test_boxes_are_rectangles_of_a_quarter_to_three_quarters():
    for mask in boxes(Streams.of(1, 300), 16, 16)[:, 0]:
        tall, wide = mask.any(1).sum(), mask.any(0).sum()
        assert mask.sum() == tall * wide
        assert 4 <= tall <= 12
        assert 4 <= wide <= 12


def test_every_side_is_hidden_alike_and_never_the_middle_of_a_frame():
    masks = sides(Streams.of(1, 2000), 8, 8)[:, 0]
    kinds, counts = masks.flatten(1).unique(dim=0, return_counts=True)
    assert len(kinds) == 5
    assert (counts.double() / 2000 - 0.2).abs().max() < 0.04
    frame = kinds[kinds.sum(1) == 48].reshape(8, 8)
    assert not frame[2:6, 2:6].any()


# -- what is learnt from ---------------------------------------------------------------------------


@pytest.mark.parametrize("task", TASKS, ids=names)
def test_what_is_given_is_a_function_of_the_picture_and_its_stream(task):
    data, rng = pictures(), Streams.of(5, 6)
    whole = task.example({"image": data}, rng)
    parts = [task.example({"image": data[p]}, rng[p]) for p in (slice(0, 2), slice(2, 6))]
    assert torch.equal(torch.cat([part.cond[PICTURE] for part in parts]), whole.cond[PICTURE])
    assert torch.equal(whole.data, data)
    assert whole.cond[PICTURE].shape == data.shape
    if whole.mask is not None:
        assert torch.equal(torch.cat([part.mask for part in parts]), whole.mask)


@pytest.mark.parametrize("task", [Inpaint(SHAPE), Uncrop(SHAPE)], ids=names)
def test_what_is_known_is_given_as_it_is_and_what_is_hidden_is_noise(task):
    data = pictures(400)
    _, cond, mask = task.example({"image": data}, Streams.of(5, 400))
    given, hidden = cond[PICTURE], mask.expand_as(data)
    assert torch.equal(given[~hidden], data[~hidden])
    noise = 2.0 * given[hidden] - 1.0
    assert noise.mean().abs() < 0.01
    assert (noise.var() - 1.0).abs() < 0.01


def test_a_picture_is_enlarged_from_means_and_a_constant_one_stays():
    task = Upscale(SHAPE, factor=4)
    flat = torch.full((1, *SHAPE), 0.3)
    assert torch.allclose(task.example({"image": flat}, Streams.of(0, 1)).cond[PICTURE], flat)
    low = torch.nn.functional.avg_pool2d(pictures(), 4)
    given = task.example({"image": pictures()}, Streams.of(0, 6)).cond[PICTURE]
    assert torch.equal(given, task.prepared(low))


def test_colours_are_asked_of_luma():
    _, cond, _ = Colourise(SHAPE).example({"image": pictures()}, Streams.of(0, 6))
    luma = np.asarray(Image.fromarray(_bytes(pictures()[0])).convert("L"))
    assert np.abs(255 * cond[PICTURE][0, 0].numpy() - luma).max() <= 1.0
    assert torch.equal(cond[PICTURE][:, 0], cond[PICTURE][:, 2])


def test_jpeg_is_what_pillow_writes():
    data = pictures(2)
    for image, quality, got in zip(data, (5, 90), through_jpeg(data, (5, 90)), strict=True):
        stream = io.BytesIO()
        Image.fromarray(_bytes(image)).save(stream, "JPEG", quality=quality)
        assert np.array_equal(np.asarray(Image.open(stream)), _bytes(got))
    many = Unjpeg(SHAPE).example({"image": pictures(1).expand(300, -1, -1, -1)}, Streams.of(0, 300))
    assert 20 <= len(many.cond[PICTURE].flatten(1).unique(dim=0)) <= 26  # qualities 5 to 30


def test_the_noise_that_is_undone_has_the_levels_it_says():
    data = torch.full((2000, *SHAPE), 0.5)
    given = Denoise(SHAPE).example({"image": data}, Streams.of(0, 2000)).cond[PICTURE]
    sigma = (given - 0.5).flatten(1).std(1)
    assert sigma.min() > 0.018
    assert sigma.max() < 0.22
    assert (sigma.mean() - 0.11).abs() < 0.003


def test_of_mixed_tasks_each_picture_gets_one():
    hole, colour = Inpaint(SHAPE), Colourise(SHAPE)
    data = pictures(200)
    _, cond, mask = Mixed(SHAPE, tasks=(hole, colour)).example({"image": data}, Streams.of(2, 200))
    coloured = (cond[PICTURE] == grey(data)).flatten(1).all(1)
    assert mask[coloured].all()
    assert 70 < coloured.sum() < 130
    known = ~mask[~coloured].expand(-1, 3, -1, -1)
    assert torch.equal(cond[PICTURE][~coloured][known], data[~coloured][known])


def test_a_stage_is_given_noise_of_the_level_it_is_told():
    task, rng = Stage(SHAPE, factor=2, loudest=0.8), Streams.of(1, 4000)
    data = torch.full((4000, *SHAPE), 0.75)
    _, cond, _ = task.example({"image": data}, rng)
    s, x = cond[LEVEL], (2.0 * cond[PICTURE] - 1.0).flatten(1)
    assert (s.mean() - 0.4).abs() < 0.01
    assert torch.allclose(x.std(1), s[:, 0], rtol=0.12, atol=1e-3)
    assert torch.allclose(x.mean(1), 0.5 * (1 - s[:, 0] ** 2) ** 0.5, atol=0.15)
    low = pictures(1)[..., ::2, ::2]
    clean = task.asked(low, Streams.of(2, 1))
    assert torch.allclose(clean[PICTURE], task.prepared(low), atol=1e-6)
    noised = task.asked(low, Streams.of(2, 1), 0.6)
    gap = 2.0 * noised[PICTURE] - 1.0 - 0.8 * (2.0 * task.prepared(low) - 1.0)
    assert (gap.std() - 0.6).abs() < 0.05
    assert noised[LEVEL].item() == pytest.approx(0.6)
    with pytest.raises(UserError, match=r"between 0 and 0\.8, got 0\.9"):
        task.asked(low, Streams.of(2, 1), 0.9)
    with pytest.raises(UserError, match="as it is, got a level"):
        Upscale(SHAPE, factor=2).asked(low, Streams.of(2, 1), 0.1)


def test_pairs_are_taken_as_they_come():
    low = torch.rand(2, 3, 4, 4)
    record = {"image": pictures(2), "given": low}
    _, cond, mask = Upscale(SHAPE, factor=4).example(record, Streams.of(0, 2))
    assert torch.equal(cond[PICTURE], Upscale(SHAPE, factor=4).prepared(low))
    assert mask is None


# -- O11: the exact posterior ----------------------------------------------------------------------


class Exact(Denoiser):
    """The exact belief about x_0 ~ N(m, Σ) of pictures 1x4x4 whose means of 2x2 are given."""

    def __init__(self, process, problem):
        super().__init__()
        self.process, self.problem = process, problem
        self.network = torch.nn.Linear(1, 1)

    def forward(self, x_t, t, cond=None):
        low = torch.nn.functional.avg_pool2d(2.0 * cond[PICTURE].double() - 1.0, 2).flatten(1)
        law = self.problem.given(low)
        belief = law.posterior(x_t.double().flatten(1), self.process.schedule.level(t))
        return replace(
            belief,
            mean=belief.mean.reshape(x_t.shape).to(x_t),
            variance=belief.variance.reshape(x_t.shape).to(x_t),
        )


@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize("sampler", [Ancestral(), Multistep(2)], ids=str)
def test_answers_follow_the_exact_posterior(sampler, residual):
    side = torch.arange(4.0, dtype=torch.float64)
    rows, columns = torch.meshgrid(side, side, indexing="ij")
    places = torch.stack((rows, columns), -1).reshape(16, 2)
    covariance = 0.09 * torch.exp(-0.5 * torch.cdist(places, places))
    pool = Pool(2)(torch.eye(16, dtype=torch.float64).reshape(16, 1, 4, 4)).reshape(16, 4).T
    data = FullGaussian(torch.full((16,), 0.1, dtype=torch.float64), covariance)
    problem = LinearGaussian(data, pool, 0.05)
    low = problem.measure(data.sample(Streams.of(4, 1)), Streams.of(5, 1))
    given = (0.5 + 0.5 * low).reshape(1, 1, 2, 2).repeat_interleave(2, 2).repeat_interleave(2, 3)
    process = GaussianProcess(VariancePreserving())
    made = systems.sr3((1, 4, 4), factor=2, backbone=TINY)
    codec, denoiser = Range(), Exact(process, problem)
    if residual:
        codec, denoiser = Residual(2.0), Beyond(process, problem, given)
    codec.fit([torch.tensor([[0.0, 1.0]])])
    codec.low.fill_(-9.0), codec.high.fill_(9.0)
    system = replace(
        made, codec=codec, denoiser=denoiser, sampler=sampler, grid=LogSNR(60), threshold=None
    )
    drawn = 2.0 * system.sample(20_000, given.float(), seed=1, batch=20_000).double() - 1.0
    law = problem.given(low)
    found = drawn.flatten(1)
    sizes = law.covariance.diagonal().sqrt()
    assert ((found.mean(0) - law.mean[0]) / data.covariance[0, 0].sqrt()).abs().max() < 0.05
    gap = (found.T.cov() - law.covariance) / (sizes[:, None] * sizes[None])
    assert gap.abs().max() < 0.05


class Beyond(Exact):
    """The same of what the data are beyond the given picture, twice as large."""

    def __init__(self, process, problem, given):
        super().__init__(process, problem)
        self.given = (2.0 * given - 1.0).flatten(1)

    def forward(self, x_t, t, cond=None):
        low = torch.nn.functional.avg_pool2d(2.0 * cond[PICTURE].double() - 1.0, 2).flatten(1)
        law = self.problem.given(low)
        beyond = FullGaussian(2.0 * (law.mean - self.given), 4.0 * law.covariance)
        belief = beyond.posterior(x_t.double().flatten(1), self.process.schedule.level(t))
        parts = {"mean": belief.mean, "variance": belief.variance}
        return replace(belief, **{k: v.reshape(x_t.shape).to(x_t) for k, v in parts.items()})


# -- asking ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def models():
    torch.manual_seed(0)
    made = {
        "ddpm": systems.ddpm(SHAPE, backbone=TINY, chain=20),
        "sr3": systems.sr3(SHAPE, backbone=TINY, chain=20, walked=5),
        "srdiff": systems.srdiff(SHAPE, backbone=TINY, features=8, groups=1, chain=5),
        "palette": systems.palette(SHAPE, backbone=TINY, chain=20, walked=5),
    }
    for system in made.values():
        system.codec.fit([pictures(), torch.tensor([0.0, 1.0])], 256)
    return made


def eight_bits(data):
    return (data * 255).round() / 255


@pytest.mark.parametrize("name", ["ddpm", "palette"])
def test_known_pixels_come_back_exactly(models, name):
    picture = eight_bits(pictures(1))
    mask = boxes(Streams.of(1, 1), 16, 16)
    asked = question(models[name], "inpaint", picture, mask)
    drawn = answers(models[name], asked, 3, seed=2, grid=6)
    known = ~mask.expand(3, 3, -1, -1)
    assert torch.equal(drawn[known], picture.expand(3, -1, -1, -1)[known])
    assert spread(drawn)[~mask[0, 0]].max() == 0.0
    assert spread(drawn)[mask[0, 0]].min() > 0.0


def test_an_answer_does_not_depend_on_how_many_are_asked_for(models):
    low = torch.nn.functional.avg_pool2d(pictures(1), 4)
    for name in ("sr3", "srdiff"):
        asked = question(models[name], "upscale", low)
        many = answers(models[name], asked, 5, seed=3)
        few = answers(models[name], asked, 5, seed=3, batch=2)
        assert many.shape == (5, *SHAPE)
        assert torch.allclose(many, few, atol=1 / 200)


def test_of_a_model_that_only_draws_the_answer_is_measured_as_what_was_given():
    system = systems.rectified_flow(SHAPE, backbone=TINY)
    system.codec.fit([torch.tensor([0.0, 1.0])])
    system.codec.low.fill_(-9.0), system.codec.high.fill_(9.0)
    low = torch.nn.functional.avg_pool2d(pictures(1), 2)
    drawn = answers(system, question(system, "upscale", low, factor=2), 2, grid=20)
    assert torch.allclose(
        torch.nn.functional.avg_pool2d(drawn, 2), low.expand(2, -1, -1, -1), atol=1e-5
    )
    luma = grey(pictures(1))
    drawn = answers(system, question(system, "colourise", luma), 2, grid=20)
    assert torch.allclose(grey(drawn), luma.expand(2, -1, -1, -1), atol=1e-5)


CHAIN = {"backbone": TINY, "chain": 20}


@pytest.mark.parametrize(
    ("verb", "system"),
    [
        ("upscale", systems.sr3(SHAPE, **CHAIN, walked=5)),
        ("upscale", systems.srdiff(SHAPE, features=8, groups=1, **CHAIN)),  # x_0 is a residual
        ("upscale", systems.cascade(SHAPE, factor=4, **CHAIN, walked=5)),
        ("colourise", systems.palette(SHAPE, ("colourise",), **CHAIN, walked=5)),
    ],
    ids=["sr3", "srdiff", "cascade", "palette"],
)
def test_one_that_was_trained_for_it_may_be_held_to_what_it_is_given(verb, system):
    picture, upscales = pictures(1), verb == "upscale"
    given = torch.nn.functional.avg_pool2d(picture, 4) if upscales else grey(picture)
    measure = Pool(4) if upscales else Luma()
    old = system.denoiser  # v, and no threshold: nothing is cut off, whatever is believed
    denoiser = GaussianDenoiser(old.process, old.network, V())
    system = replace(system, denoiser=denoiser, threshold=None)
    system.codec.fit([torch.tensor([0.0, 1.0])])
    system.codec.low.fill_(-9.0), system.codec.high.fill_(9.0)
    free, held = (
        answers(system, question(system, verb, given, exact=exact), 2) for exact in (False, True)
    )
    assert (measure(free) - given).abs().max() > 0.01
    assert torch.allclose(measure(held), given.expand(2, -1, -1, -1), atol=1e-4)
    told = answered(system, system.task, picture, pictures(3), regression=0)
    for answer in told.answers[f"{system.name}, exact"]:
        truth = measure(told.asked.truth)
        assert torch.allclose(measure(answer), truth, atol=1e-4)


def test_a_hole_is_filled_with_what_is_asked_for():
    """A model that knows its classes apart by their grey alone: what is made has the class's."""

    class Greys(Denoiser):
        def __init__(self, process):
            super().__init__()
            self.process, self.network = process, torch.nn.Linear(1, 1)

        def forward(self, x_t, t, cond=None):
            grey = torch.where(cond < 0, 0.0, torch.where(cond == 1, 0.6, -0.6))
            return Gaussian(grey.reshape(-1, 1, 1, 1).expand_as(x_t))

    made = systems.ddpm(SHAPE, ("dark", "light"), TINY)
    system = replace(made, denoiser=Greys(made.denoiser.process))
    system.codec.fit([torch.tensor([0.0, 1.0])])
    picture, mask = pictures(1), boxes(Streams.of(1, 1), 16, 16)
    asked = question(system, "inpaint", picture, mask)
    hole = mask.expand(2, 3, -1, -1)
    for kind, scale, level in ((None, 1.0, 0.5), ("light", 1.0, 0.8), ("dark", 1.5, 0.05)):
        drawn = answers(system, asked, 2, grid=10, kind=kind, scale=scale)
        assert torch.allclose(drawn[hole], torch.tensor(level), atol=1e-5)
        assert torch.equal(drawn[~hole], picture.expand(2, -1, -1, -1)[~hole])


def test_luma_is_linear():
    check_linear(Luma(), (3, 2, 2))


def test_answers_are_of_the_given_size(models):
    wide = torch.rand(1, 3, 5, 9)
    assert answers(models["sr3"], question(models["sr3"], "upscale", wide)).shape == (1, 3, 20, 36)


def test_what_cannot_be_asked_is_refused_in_a_sentence(models):
    picture = pictures(1)
    hole = boxes(Streams.of(1, 1), 16, 16)
    cases = [
        ("sr3", "inpaint", picture, {"mask": hole}, "cannot inpaint: it was trained for Upscale"),
        ("sr3", "upscale", picture, {"factor": 2}, "upscales 4 times, got a factor of 2"),
        ("palette", "inpaint", picture, {}, "wants a mask"),
        ("palette", "inpaint", picture, {"mask": hole[..., :8]}, "16x8 pixels, the picture 16x16"),
        ("palette", "restore", grey(picture), {}, "is grey, the model is of pictures in colour"),
        ("palette", "restore", picture, {"exact": True}, "Unjpeg is given is sure"),
        ("palette", "restore", 255 * picture, {}, r"expected \[0, 1\]"),
        ("ddpm", "restore", picture, {}, "--tasks jpeg"),
    ]
    for name, verb, given, options, says in cases:
        with pytest.raises(UserError, match=says):
            question(models[name], verb, given, **options)
    with pytest.raises(UserError, match="give it one"):
        models["sr3"].sample(1)
    with pytest.raises(UserError, match="divide the sides"):
        Upscale((3, 10, 10), factor=4)
    with pytest.raises(UserError, match="no task 'inpant': did you mean inpaint"):
        systems.palette(SHAPE, ("inpant",))


def _bytes(image):
    return (image * 255).round().byte().movedim(0, -1).numpy()
