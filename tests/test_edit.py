"""Editing: a region made what a judge favours, and the rest the file's own."""

import shlex
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from PIL import Image

import hush as library
from hush.app import cli
from hush.codecs import Range
from hush.data import PictureOptions
from hush.data.captions import captioned
from hush.errors import UserError
from hush.evaluation.classifier import Classifier
from hush.networks.dual import DualEncoder
from hush.processes import GaussianProcess
from hush.samplers.grids import Uniform
from hush.schedules import VariancePreserving
from hush.tasks.edit import Belonging, Judge, Likeness, ranked, towards
from hush.tasks.restore import answers, question
from hush.tasks.taught import keep, recall
from hush.testing import GaussianMixture, MixtureDenoiser

TILT = torch.tensor([[[[2.0, -1.0], [0.5, 3.0]]]])
MASK = torch.tensor([[[[True, False], [True, False]]]])


class Exact(MixtureDenoiser):
    """The exact belief about pixels N(0.5, 0.04), as a run's denoiser."""

    def __init__(self):
        data = GaussianMixture.of([1.0], [[[[0.5, 0.5], [0.5, 0.5]]]], [0.04])
        super().__init__(GaussianProcess(VariancePreserving()), data)
        self.network = torch.nn.Linear(1, 1)


@dataclass(frozen=True)
class Tilted(Judge):
    """Favours pictures along TILT."""

    def __call__(self, pictures):
        return (TILT.to(pictures) * pictures).flatten(1).sum(1)


def run():
    small = library.networks.Backbone(width=8, multipliers=(1, 2), blocks=1, attention=())
    model = library.systems.ddpm((1, 2, 2), (), small, clip=False)
    return replace(model, denoiser=Exact(), grid=Uniform(40))


def test_of_pixels_that_know_nothing_of_each_other_those_in_the_mask_get_the_tilted_law():
    """N(m, v) tilted by exp(a·x) is N(m + v a, v), to scale w N(m + v w a, v), for RePaint too,
    since known pixels say nothing of the others; and these stay as they are."""
    system, picture, count = run(), torch.tensor([[[[0.1, 0.2], [0.3, 0.9]]]]), 4000
    asked = question(system, "inpaint", picture, MASK)
    for scale in (1.0, 3.0):
        drawn = answers(system, towards(system, asked, Tilted(), scale), count, seed=3, batch=count)
        inside = MASK[0].expand(count, 1, 2, 2)
        assert torch.equal(drawn[~inside], picture.expand_as(drawn)[~inside])
        made = drawn[inside].reshape(count, 2)
        wanted = 0.5 + 0.04 * scale * TILT[MASK]
        torch.testing.assert_close(made.mean(0), wanted, atol=0.01, rtol=0.0)
        torch.testing.assert_close(made.var(0), torch.full((2,), 0.04), atol=0.003, rtol=0.0)


def test_at_scale_0_an_edit_is_an_inpainting():
    system, picture = run(), torch.full((1, 1, 2, 2), 0.4)
    asked = question(system, "inpaint", picture, MASK)
    plain = answers(system, asked, 3, seed=1)
    assert torch.equal(answers(system, towards(system, asked, Tilted(), 0.0), 3, seed=1), plain)


def test_answers_are_ranked_by_their_scores():
    pictures = torch.tensor([0.1, 0.9, 0.4]).reshape(3, 1, 1, 1).expand(-1, 1, 2, 2)
    best, scores = ranked(Tilted(), pictures)
    torch.testing.assert_close(best[:, 0, 0, 0], torch.tensor([0.9, 0.4, 0.1]))
    torch.testing.assert_close(scores, 4.5 * torch.tensor([0.9, 0.4, 0.1]))


def test_the_slope_of_what_is_rounded_is_that_of_the_line():
    codec = Range().fit((torch.linspace(0.0, 0.5, 17).reshape(1, -1),), levels=17)
    x_0 = torch.tensor([[-2.0, 0.1, 0.3, 1.5]]).requires_grad_()
    pictures = codec.decode(x_0)
    assert torch.equal(pictures.detach(), codec.decode(x_0.detach()))
    (slope,) = torch.autograd.grad(pictures.sum(), x_0)
    torch.testing.assert_close(slope, torch.full_like(slope, 0.25))


# -- judges that were taught ----------------------------------------------------------------------

WORDS = ("black", "white", "square")


def pictures_of(count):
    return torch.linspace(0.0, 1.0, count * 64).reshape(count, 1, 8, 8)


def test_shares_among_texts_add_up_to_one_and_differ_as_the_logits_do():
    torch.manual_seed(0)
    encoder, texts = DualEncoder((1, 8, 8), WORDS, 16).eval(), ("black square", "white", "square")
    alone = torch.stack([Likeness(encoder, text)(pictures_of(3)) for text in texts])
    among = torch.stack([Likeness(encoder, text, texts)(pictures_of(3)) for text in texts])
    torch.testing.assert_close(among, alone.log_softmax(0))


def test_pictures_of_another_size_are_brought_to_the_judge_s_and_of_other_channels_refused():
    torch.manual_seed(0)
    judge = Belonging(Classifier((1, 8, 8), 3, 16).eval(), 1)
    even = torch.tensor([0.2, 0.7]).reshape(2, 1, 1, 1)
    small, large = (judge(even.expand(-1, 1, side, side)) for side in (8, 24))
    torch.testing.assert_close(small, large)
    with pytest.raises(UserError, match="taught on pictures of 1 channels, the model's have 3"):
        judge(torch.zeros(1, 3, 8, 8))


def test_what_was_taught_comes_back_as_it_was(tmp_path):
    torch.manual_seed(0)
    encoder, classifier = DualEncoder((1, 8, 8), WORDS, 16).eval(), Classifier((1, 8, 8), 3, 16)
    keep(encoder, tmp_path)
    keep(classifier, tmp_path, ("a", "b", "c"))
    again, _ = recall(tmp_path, "encoder")
    torch.testing.assert_close(again.captions(["white square"]), encoder.captions(["white square"]))
    other, classes = recall(tmp_path, "classifier")
    assert classes == ("a", "b", "c")
    assert torch.equal(other(pictures_of(2)), classifier(pictures_of(2)))


def test_what_is_missing_or_damaged_is_told(tmp_path):
    with pytest.raises(UserError, match="does not exist: `hush teach encoder --data FOLDER --out"):
        recall(tmp_path, "encoder")
    path = keep(Classifier((1, 8, 8), 3, 16), tmp_path)
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(UserError, match=r"classifier\.safetensors is damaged"):
        recall(tmp_path, "classifier")
    keep(Classifier((1, 8, 8), 3, 16), tmp_path).rename(tmp_path / "encoder.safetensors")
    with pytest.raises(UserError, match="does not say what it is"):
        recall(tmp_path, "encoder")


# -- as a person meets it -------------------------------------------------------------------------

SMALL = "--width 8 --multipliers 1 2 --blocks 1 --attention --dropout 0 --batch 8 --warmup 1 "
SMALL += "--chain 25 --steps 2 --sample-every 50 --threads 1 --held-out 0.3 --labels False"


def hush(line):
    cli.run(shlex.split(line))


def pixels(path):
    return np.asarray(Image.open(path))


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """Light and dark pictures in folders named so, a hole, a run and two judges."""
    home, dice = tmp_path_factory.mktemp("home"), np.random.default_rng(0)
    for number in range(20):
        light = number % 2
        folder = home / "photos" / ("a_light one", "a dark one")[light]
        folder.mkdir(parents=True, exist_ok=True)
        picture = dice.integers(0, 128, (16, 16, 3)) + 127 * (1 - light)
        Image.fromarray(picture.astype(np.uint8)).save(folder / f"{number}.png")
    hole = np.zeros((16, 16), np.uint8)
    hole[4:9, 3:12] = 255
    Image.fromarray(hole).save(home / "hole.png")
    hush(f"train ddpm --data {home}/photos --out {home}/ddpm {SMALL}")
    for what in ("encoder", "classifier"):
        line = f"teach {what} --data {home}/photos --out {home}/taught --steps 40 --size 16"
        hush(f"{line} --threads 1")
    return home


def test_a_hole_is_filled_towards_a_text_or_a_class_the_best_answer_first(home):
    picture, hole = home / "photos" / "a dark one" / "3.png", pixels(home / "hole.png") > 0
    wanted = {
        "text": f"--text 'a light one' --encoder {home}/taught",
        "class": f"--class 'a_light one' --classifier {home}/taught",
    }
    for name, how in wanted.items():
        hush(
            f"inpaint {home}/ddpm '{picture}' --mask {home}/hole.png --out {home}/{name} {how} "
            "--count 3 --steps 3 --seed 1 --guidance 2"
        )
        made = [pixels(home / name / f"3-{number:02d}.png") for number in range(3)]
        for answer in made:
            assert np.array_equal(answer[~hole], pixels(picture)[~hole])
        assert not np.array_equal(made[0][hole], made[1][hole])
        drawn = torch.stack([torch.from_numpy(one / 255.0).movedim(-1, 0) for one in made]).float()
        encoder, (classifier, classes) = (
            recall(home / "taught", kind) for kind in ("encoder", "classifier")
        )
        judge = (
            Likeness(encoder[0], "a light one")
            if name == "text"
            else Belonging(classifier, classes.index("a_light one"))
        )
        scores = judge(drawn)
        assert torch.equal(scores, scores.sort(descending=True).values)


def test_what_was_taught_is_told_with_how_often_it_is_right(home, capsys):
    hush(f"teach encoder --data {home}/photos --out {home}/more --steps 40 --size 16 --threads 1")
    told = capsys.readouterr()
    assert "20 pictures, 3x16x16, 256 grey levels; 2 different captions" in told.err
    assert "Of 2 pictures it has not seen 100.0 % find their caption among all 2" in told.out


def test_captions_of_a_table_or_else_of_the_folders(tmp_path):
    for number in range(3):
        folder = tmp_path / "on grass" / "seven"
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((4, 4), 50 * number, np.uint8)).save(folder / f"{number}.png")
    assert captioned(tmp_path).captions == ("on grass/seven",) * 3
    rows = [
        "picture,caption",
        '"on grass/seven/1.png","one, on grass"',
        "on grass/seven/0.png,none",
    ]
    (tmp_path / "captions.csv").write_text("\n".join([*rows, "./on grass/seven/2.png,two"]))
    source = captioned(tmp_path, PictureOptions(size=4))
    assert source.captions == ("none", "one, on grass", "two")
    before = source.digest()
    (tmp_path / "captions.csv").write_text("\n".join([*rows, "on grass/seven/2.png,2"]))
    assert captioned(tmp_path, PictureOptions(size=4)).digest() != before
    (tmp_path / "captions.csv").write_text("\n".join(rows))
    with pytest.raises(UserError, match=r"2\.png has no caption, and so with 1 of the pictures"):
        captioned(tmp_path)
    (tmp_path / "captions.csv").write_text("file,text\n")
    with pytest.raises(UserError, match="has the columns file, text; expected picture and caption"):
        captioned(tmp_path)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ("--text 'a light one'", "wants --text and --encoder together"),
        ("--encoder {home}/taught", "wants --text and --encoder together"),
        ("--text 'a bright one' --encoder {home}/taught", "taught no word 'bright'"),
        ("--text light --encoder {home}/nobody", "nobody/encoder.safetensors does not exist"),
        ("--text light --encoder {home}/taught --class a", "by --text or by --class, not by both"),
        ("--classifier {home}/taught", "--classifier wants --class too"),
        ("--classifier {home}/taught --class a_lite", "knows no class 'a_lite': did you mean a_l"),
    ],
)
def test_what_cannot_be_asked_is_told_in_a_sentence(home, options, sentence):
    line = f"inpaint {home}/ddpm {home}/hole.png --mask {home}/hole.png --out {home}/x "
    with pytest.raises(UserError) as told:
        hush(line.replace("hole.png", "photos/a\\ dark\\ one/3.png", 1) + options.format(home=home))
    assert sentence in str(told.value)
    assert not (home / "x").exists()
