"""The judges: who knows the truth stands at zero, who stands beside is who it says."""

import math
from dataclasses import replace

import pytest
import torch
from torch.nn.functional import avg_pool2d

import hush
from hush.errors import UserError
from hush.evaluation import (
    auroc,
    bicubic,
    biharmonic,
    blur_residual,
    dice,
    difference,
    f1,
    frechet,
    median,
    psnr,
    replicated,
)
from hush.evaluation.baselines import pixel_space
from hush.networks import Backbone
from hush.rng import Streams
from hush.tasks.detect import Detect
from hush.tasks.holes import Inpaint, Uncrop
from hush.tasks.images import Colourise, Denoise, Stage, Unjpeg, Upscale
from hush.tasks.judged import (
    Asked,
    Yard,
    anomaly_maps,
    answered,
    found,
    held,
    judge_change,
    judge_segment,
    parts,
)
from hush.tasks.mixed import PALETTE

torch.set_num_threads(1)
SMALL = Backbone(width=8, multipliers=(1, 2), blocks=1, attention=(), dropout=0.0)
SHAPE = (3, 16, 16)


def pictures(count, seed=0):
    """Smooth ones in colour."""
    coarse = torch.rand(count, 3, 4, 4, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.interpolate(coarse, size=16, mode="bicubic").clamp(0.0, 1.0)


@pytest.fixture(scope="module")
def yard():
    return Yard.of(pictures(40), pictures(20, 1), space=pixel_space(pictures(40)))


def quick(system):
    return replace(system, grid=replace(system.grid, steps=2))


def fitted(system):
    system.codec.fit([pictures(40)])
    return quick(system)


def test_the_truth_is_at_no_distance_and_without_error(yard):
    asked = Asked.of(Upscale(SHAPE, factor=2), pictures(20, 1))
    row = yard.row("upscale", "oracle", asked, (asked.truth, asked.truth))
    assert row.distance < 1e-6
    assert (row.psnr == math.inf).all()
    torch.testing.assert_close(row.ssim, torch.ones(20).double())
    assert row.consistency.max() < 1e-12
    assert row.apart.max() == 0.0
    assert row.cells()[3] == "inf"


def test_a_floor_is_what_as_many_other_pictures_show(yard):
    others = pictures(40)
    asked = Asked.of(Denoise(SHAPE), pictures(20, 1))
    row = yard.row("denoise", "others", asked, (others[:20],))
    assert 0.5 < row.distance < 2.0
    assert row.interval[0] < 1.0 < row.interval[1]
    exact = frechet(yard.space(others[:20]), yard.test) / frechet(yard.train, yard.test)
    assert row.distance == pytest.approx(exact)
    torch.testing.assert_close(row.psnr, psnr(others[:20], asked.truth))
    assert row.consistency is None
    assert row.apart is None


@pytest.mark.parametrize(
    ("task", "direct"),
    [
        (Upscale(SHAPE, factor=4), lambda a: bicubic(avg_pool2d(a.truth, 4), 4)),
        (Stage(SHAPE, factor=2), lambda a: bicubic(avg_pool2d(a.truth, 2), 2)),
        (Colourise(SHAPE), lambda a: a.cond["picture"]),
        (Inpaint(SHAPE), lambda a: biharmonic(a.truth, ~a.mask)),
        (Uncrop(SHAPE), lambda a: replicated(a.truth, ~a.mask)),
        (Unjpeg(SHAPE), lambda a: a.cond["picture"]),
        (Denoise(SHAPE), lambda a: median(a.cond["picture"].clamp(0.0, 1.0))),
    ],
    ids=lambda value: type(value).__name__,
)
def test_beside_a_run_stands_what_its_function_says_and_known_pixels_stay(task, direct):
    name = (
        "upscale"
        if isinstance(task, Upscale)
        else next(key for key, kind in PALETTE.items() if type(task) is kind)
    )
    make = hush.systems.sr3(SHAPE, 2, SMALL, chain=25)
    told = answered(fitted(replace(make, task=task)), task, pictures(20), pictures(6, 1), 2)
    assert told.name == name
    classical, regression, own, *held = told.answers.values()
    exact = ["sr3, exact"] if isinstance(task, Upscale | Colourise) else []
    assert list(told.answers)[1:] == ["regression", "sr3", *exact]
    torch.testing.assert_close(classical[0], direct(told.asked))
    for answers in (own, *held):
        assert len(answers) == 2
        assert not torch.equal(*answers)
    for answers in (classical, regression, own, *held):
        for answer in answers:
            assert answer.shape == told.asked.truth.shape
            known = False if told.asked.mask is None else ~told.asked.mask.expand_as(answer)
            assert told.asked.mask is None or torch.equal(answer[known], told.asked.truth[known])


def test_answers_are_the_same_in_whatever_batch_and_a_mix_is_judged_part_by_part():
    system = fitted(hush.systems.palette(SHAPE, ("jpeg", "inpaint"), SMALL, chain=25))
    assert [type(part) for part in parts(system)] == [Unjpeg, Inpaint]
    for part in parts(system):
        one, two = (
            answered(system, part, pictures(8), pictures(5, 1), 0, batch=batch).answers["palette"]
            for batch in (2, 64)
        )
        torch.testing.assert_close(one, two, atol=1e-4, rtol=0.0)


def test_what_cannot_be_judged_is_told():
    with pytest.raises(UserError, match="draws pictures from nothing"):
        parts(hush.systems.ddpm((1, 8, 8), (), SMALL))
    with pytest.raises(UserError, match="4 or more of each"):
        Yard.of(pictures(9), pictures(3))


def boxes(count):
    """Where each picture has a square in it."""
    masks = torch.zeros(count, 1, 16, 16, dtype=torch.bool)
    for number, mask in enumerate(masks):
        mask[0, 3:8, number : number + 5] = True
    return masks


def test_who_sees_exactly_the_anomalies_finds_them_all_and_the_sound_are_left_out():
    truth = boxes(6)
    truth[2] = False
    blind = torch.zeros(6, 1, 16, 16)
    sharp, nothing = found({"sharp": truth.float(), "blind": blind}, truth)
    assert (sharp.auroc == 1.0).all()
    assert (sharp.dice == 1.0).all()
    assert len(sharp.auroc) == 5
    assert (nothing.auroc == 0.5).all()
    assert sharp.cells() == ("sharp", "1.000 (1.000-1.000)", "1.000 (1.000-1.000)")
    noisy = truth.float() + Streams.of(0, 6).normal((1, 16, 16), torch.float32)
    row = found({"noisy": noisy}, truth)[0]
    both = truth.flatten(1).any(1)
    ranks = [auroc(a, b) for a, b in zip(noisy[both], truth[both], strict=True)]
    assert row.auroc.tolist() == ranks
    best = max(float(dice(noisy[both] >= t, truth[both]).mean()) for t in noisy.unique()[::20])
    assert row.dice.mean() <= best + 0.02
    with pytest.raises(UserError, match="1 of 6 masks show"):
        found({"sharp": truth.float()}, truth & (torch.arange(6) == 0).reshape(6, 1, 1, 1))


def test_beside_a_detector_stand_an_autoencoder_and_a_blur():
    system = fitted(hush.systems.ddpm(SHAPE, (), SMALL, chain=25))
    look, odd = Detect(0.3, 2), pictures(3, 2)
    maps = anomaly_maps(system, pictures(20), odd, look, seed=3, steps=2)
    assert list(maps) == ["ddpm", "autoencoder", "blur residual"]
    torch.testing.assert_close(maps["ddpm"], look(system, odd, 3).map)
    torch.testing.assert_close(maps["blur residual"], blur_residual(odd))
    assert maps["autoencoder"].shape == (3, 1, 16, 16)


def test_every_fourth_label_is_held_out_and_the_raw_difference_is_itself():
    assert held(3) == ([0, 1, 2], [])
    assert held(9) == ([0, 1, 2, 4, 5, 6, 8], [3, 7])
    system = fitted(hush.systems.ddpm(SHAPE, (), SMALL, chain=25))
    before, masks = pictures(8), boxes(8)
    after = torch.where(masks, 1.0 - before, before)
    scores = judge_change(system, before, after, masks[:, 0].long(), steps=3)
    raw = difference(before, after)
    assert list(scores) == ["ddpm", "raw difference"]
    threshold = raw[held(8)[0]][masks[held(8)[0]]].min()
    exact = f1(raw[[3, 7]] >= threshold, masks[[3, 7]])
    assert scores["raw difference"].value == pytest.approx(exact, abs=0.02)
    assert judge_change(system, before[:3], after[:3], masks[:3, 0].long()) == {}
    assert judge_change(system, before, before, torch.zeros(8, 16, 16).long()) == {}


def test_a_head_on_raw_pixels_tells_what_colour_tells():
    system = fitted(hush.systems.ddpm(SHAPE, (), SMALL, chain=25))
    masks = boxes(8)[:, 0]
    coloured = masks.unsqueeze(1).float().expand(-1, 3, -1, -1)
    scores = judge_segment(system, coloured, masks.long(), ("no", "yes"), steps=100)
    assert scores["pixels"].value == 1.0
    assert scores["pixels"].ends == (1.0, 1.0)
    assert str(scores["pixels"]) == "1.000 (1.000-1.000)"
    assert judge_segment(system, coloured[:3], masks[:3].long(), ("no", "yes")) == {}
