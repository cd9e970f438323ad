"""A cascade from nothing: two exact stages give the exact joint law (O11), each sample its own."""

import shlex
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from PIL import Image

import hush
from hush.app import cli
from hush.denoisers import Denoiser
from hush.distributions import Gaussian
from hush.errors import UserError
from hush.networks import Backbone
from hush.processes import GaussianProcess
from hush.samplers import Multistep
from hush.samplers.grids import LogSNR, Uniform
from hush.schedules import VariancePreserving
from hush.systems.cascade import cascade
from hush.tasks.cascaded import cascaded
from hush.tasks.images import LEVEL, PICTURE, Stage
from hush.testing import FullGaussian, FullGaussianDenoiser, LinearGaussian

SMALL = Backbone(width=8, multipliers=(1, 2), blocks=1, attention=())
EYE = torch.eye(16, dtype=torch.float64)
POOL = torch.nn.functional.avg_pool2d(EYE.reshape(16, 1, 4, 4), 2).reshape(16, 4).T
WIDE = (
    torch.nn.functional.interpolate(
        torch.eye(4, dtype=torch.float64).reshape(4, 1, 2, 2), scale_factor=2, mode="bicubic"
    )
    .reshape(4, 16)
    .T
)


def data():
    """Pictures 4x4 about a grey, so near it that none is ever clipped; neighbours are alike."""
    place = torch.cartesian_prod(torch.arange(4.0), torch.arange(4.0)).double()
    apart = torch.cdist(place, place)
    return FullGaussian(torch.full((16,), 0.5).double(), 0.05**2 * (-apart / 1.5).exp())


class Base(Denoiser):
    """The exact belief about the means of 2x2 pixels."""

    def __init__(self, process):
        super().__init__()
        self.process, self.network = process, torch.nn.Linear(1, 1)
        whole = data()
        law = FullGaussian(POOL @ whole.mean, POOL @ whole.covariance @ POOL.T)
        self.exact = FullGaussianDenoiser(process, law)

    def forward(self, x_t, t, cond=None):
        return shaped(self.exact(x_t.flatten(1).double(), t), x_t)


class Larger(Denoiser):
    """The exact belief about x given y = √(1-s²)(2 U P x - 1) + s ε, U enlarging and P pooling."""

    def __init__(self, process):
        super().__init__()
        self.process, self.network = process, torch.nn.Linear(1, 1)

    def forward(self, x_t, t, cond=None):
        s = cond[LEVEL][0].item()
        signal = (1.0 - s**2) ** 0.5
        y = (2.0 * cond[PICTURE] - 1.0).flatten(1).double()
        problem = LinearGaussian(data(), 2.0 * signal * WIDE @ POOL, s)
        law = problem.given(y + signal)
        return shaped(FullGaussianDenoiser(self.process, law)(x_t.flatten(1).double(), t), x_t)


def shaped(belief, like):
    return Gaussian(belief.mean.reshape(like.shape).to(like))


def exact():
    """Both systems with the denoisers that are never wrong; their codecs do nothing."""
    process = GaussianProcess(VariancePreserving())
    motion = {"sampler": Multistep(3), "grid": LogSNR(40)}
    base = hush.systems.ddpm((1, 2, 2), (), SMALL, clip=False)
    stage = replace(cascade((1, 4, 4), backbone=SMALL), threshold=None)
    return (
        replace(base, denoiser=Base(process), **motion),
        replace(stage, denoiser=Larger(process), **motion),
    )


@pytest.mark.parametrize("level", [0.05, 0.3])
def test_two_exact_stages_draw_the_joint_law(level, monkeypatch):
    """x has the data's law whatever the level hides, for y has that of the noised small pictures;
    and what is drawn small shows in it as far as the level lets it: Cov(x, z) = K B Cov(z)."""
    count, seen = 4000, []
    base, stage = exact()
    monkeypatch.setattr(Stage, "asked", watch(Stage.asked, seen))
    x = cascaded((base, stage), count, seed=2, level=level, batch=count).flatten(1).double()
    z = seen[0].flatten(1).double()
    law = data()
    signal = (1.0 - level**2) ** 0.5
    small = POOL @ law.covariance @ POOL.T
    told = 2.0 * signal * WIDE
    noised = told @ small @ told.T + level**2 * EYE
    gain = torch.linalg.solve(noised, told @ POOL @ law.covariance).T
    unit = 0.05**2
    close(z.mean(0), POOL @ law.mean, 0.05 * 0.05)
    close(z.T.cov(), small, 0.06 * unit)
    close(x.mean(0), law.mean, 0.05 * 0.05)
    close(x.T.cov(), law.covariance, 0.08 * unit)
    both = torch.cat((x, z), 1).T.cov()[:16, 16:]
    close(both, gain @ told @ small, 0.08 * unit)


def watch(asked, seen):
    def also(self, picture, *rest):
        seen.append(picture)
        return asked(self, picture, *rest)

    return also


def close(got, wanted, allowed):
    torch.testing.assert_close(got, wanted, atol=allowed, rtol=0.0)


def test_each_sample_is_its_own_however_many_are_drawn_and_wherever_one_begins():
    chain = exact()
    chain = tuple(replace(system, grid=Uniform(5)) for system in chain)
    whole = cascaded(chain, 7, seed=4, level=0.2)
    torch.testing.assert_close(cascaded(chain, 3, seed=4, level=0.2), whole[:3])
    torch.testing.assert_close(cascaded(chain, 7, seed=4, level=0.2, batch=2), whole)
    torch.testing.assert_close(cascaded(chain, 4, seed=4, level=0.2, start=3), whole[3:])
    assert not torch.allclose(cascaded(chain, 7, seed=4, level=0.1), whole, atol=1e-3)
    assert not torch.allclose(cascaded(chain, 7, seed=5, level=0.2), whole, atol=1e-3)


@dataclass(frozen=True)
class Wrong:
    chain: tuple
    level: float | tuple
    sentence: str


def test_what_does_not_fit_is_told():
    base, stage = exact()
    larger = cascade((1, 16, 16), backbone=SMALL)
    cases = [
        Wrong(
            (stage, stage), 0.0, "The first model of a cascade draws from nothing, got a cascade"
        ),
        Wrong((base, base), 0.0, "A stage makes pictures larger, got a ddpm"),
        Wrong(
            (base, larger), 0.0, "makes 1x16x16 .* from 1x8x8, but the ddpm before it draws 1x2x2"
        ),
        Wrong((base, stage), (0.1, 0.2), "There are 1 stages, got 2 levels"),
        Wrong((base, stage), 0.7, "level must lie between 0 and 0.5, got 0.7"),
    ]
    for case in cases:
        with pytest.raises(UserError, match=case.sentence):
            cascaded(case.chain, 2, level=case.level)


TINY = "--width 8 --multipliers 1 2 --blocks 1 --attention --dropout 0 --batch 8 --warmup 1 "
TINY += "--chain 25 --steps 2 --sample-every 50 --threads 1 --held-out 0.3"


def test_a_run_s_pictures_go_on_to_the_next(tmp_path, capsys):
    dice = np.random.default_rng(0)
    (tmp_path / "photos").mkdir()
    for number in range(8):
        picture = dice.integers(0, 256, (16, 16), dtype=np.uint8)
        Image.fromarray(picture).save(tmp_path / "photos" / f"{number}.png")
    for name, size in (("ddpm", 8), ("cascade", 16)):
        line = f"train {name} --data {tmp_path}/photos --out {tmp_path}/{name} --size {size} {TINY}"
        cli.run(shlex.split(line))
    line = f"sample {tmp_path}/ddpm --then {tmp_path}/cascade --level 0.2 --seed 3 --steps 3 "
    cli.run(shlex.split(f"{line} --count 3 --out {tmp_path}/three"))
    cli.run(shlex.split(f"{line} --count 2 --out {tmp_path}/two --batch 1"))
    for number in range(2):
        three, two = (
            np.asarray(Image.open(tmp_path / out / f"0000{number}.png")) for out in ("three", "two")
        )
        assert three.shape == (16, 16)
        assert np.abs(three.astype(int) - two).max() <= 1
    for more, sentence in (
        (f"--then {tmp_path}/cascade {tmp_path}/cascade", "from 1x8x8, but the cascade before it"),
        (f"--then {tmp_path}/cascade --trace", "--trace shows one walk"),
        ("--level 0.2", "--level is of the stages that --then names"),
        (f"--then {tmp_path}/cascade --level 0.9", "level must lie between 0 and 0.5, got 0.9"),
    ):
        with pytest.raises(UserError, match=sentence):
            cli.run(shlex.split(f"sample {tmp_path}/ddpm {more} --out {tmp_path}/x --seed 1"))
