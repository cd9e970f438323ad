"""The verbs that take a picture and give one back, as a person meets them."""

import re
import shlex
from functools import partial

import numpy as np
import pytest
from PIL import Image

from hush.app import cli
from hush.errors import UserError
from hush.evaluation import fit_autoencoder
from hush.evaluation.baselines import pixel_space
from hush.tasks import judged

SMALL = "--width 8 --multipliers 1 2 --blocks 1 --attention --dropout 0 --batch 8 --warmup 1 "
SMALL += "--chain 25 --steps 2 --sample-every 50 --threads 1 --size 16 --held-out 0.3"


def hush(line):
    cli.run(shlex.split(line))


def pixels(path):
    return np.asarray(Image.open(path))


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """Photographs, a hole, and runs of three systems."""
    home = tmp_path_factory.mktemp("home")
    (home / "photos").mkdir()
    dice = np.random.default_rng(0)
    for number in range(8):
        picture = dice.integers(0, 256, (16, 16, 3), dtype=np.uint8)
        Image.fromarray(picture).save(home / "photos" / f"{number}.png")
    Image.fromarray(dice.integers(0, 256, (16, 16), dtype=np.uint8)).save(home / "grey.png")
    Image.fromarray(dice.integers(0, 256, (32, 32, 3), dtype=np.uint8)).save(home / "large.png")
    hole = np.zeros((16, 16), np.uint8)
    hole[4:9, 3:12] = 255
    Image.fromarray(hole).save(home / "hole.png")
    for name, more in (("ddpm", ""), ("sr3", "--factor 2"), ("palette", "--walked 5")):
        hush(f"train {name} {more} --data {home}/photos --out {home}/{name} {SMALL}")
    return home


def test_a_hole_is_filled_and_the_rest_is_the_file_s_own(home):
    for name in ("ddpm", "palette"):
        out = home / f"filled-{name}"
        hush(
            f"inpaint {home}/{name} {home}/photos/3.png --mask {home}/hole.png --out {out} "
            "--count 2 --steps 3 --seed 1"
        )
        hole = pixels(home / "hole.png") > 0
        given = pixels(home / "photos/3.png")
        for number in range(2):
            assert np.array_equal(pixels(out / f"3-{number:02d}.png")[~hole], given[~hole])
        apart = pixels(out / "3-spread.png")
        assert not apart[~hole].any()
        assert apart[hole].max() == 255
        assert (out / "3-beside.png").exists()


def test_a_folder_is_upscaled_name_by_name(home):
    out = home / "larger"
    hush(f"upscale {home}/sr3 {home}/photos --out {out} --steps 2 --seed 1")
    assert {path.name for path in out.iterdir()} == {
        f"{number}{kind}.png" for number in range(8) for kind in ("", "-beside")
    }
    assert pixels(out / "5.png").shape == (32, 32, 3)
    again = home / "again"
    hush(f"upscale {home}/sr3 {home}/photos/5.png --out {again} --steps 2 --seed 1")
    assert np.array_equal(pixels(again / "5.png"), pixels(out / "5.png"))


def test_a_picture_goes_on_beyond_its_edges(home):
    hush(f"uncrop {home}/palette {home}/photos/0.png --right 8 --top 4 --out {home}/wide --seed 1")
    wide = pixels(home / "wide" / "0.png")
    assert wide.shape == (20, 24, 3)
    assert np.array_equal(wide[4:, :16], pixels(home / "photos/0.png"))


def test_a_grey_picture_gets_colours_and_jpeg_goes(home):
    hush(f"colourise {home}/palette {home}/grey.png --out {home}/coloured --seed 1")
    assert pixels(home / "coloured" / "grey.png").shape == (16, 16, 3)
    Image.open(home / "photos/1.png").save(home / "bad.jpg", quality=10)
    hush(f"restore {home}/palette {home}/bad.jpg --out {home}/better --seed 1")
    assert pixels(home / "better" / "bad.png").shape == (16, 16, 3)


def test_what_does_not_belong_is_told_with_a_score_and_an_attack_is_washed_out(home, capsys):
    out = home / "odd"
    hush(f"detect {home}/ddpm {home}/photos --out {out} --steps 2 --repeats 2 --seed 1")
    rows = (out / "scores.csv").read_text().splitlines()
    assert rows[0] == "picture,score"
    assert [row.split(",")[0] for row in rows[1:]] == [str(number) for number in range(8)]
    worst = max(rows[1:], key=lambda row: float(row.split(",")[1])).split(",")[0]
    assert f"the least like what was learnt: {worst} " in capsys.readouterr().out
    assert pixels(out / "2-map.png").max() == 255
    hush(f"detect {home}/ddpm {home}/large.png --out {home}/one --steps 2 --seed 1")
    assert pixels(home / "one" / "large-map.png").shape == (16, 16)
    hush(f"purify {home}/ddpm {home}/photos/0.png --out {home}/pure --by diffpure:steps=2 --seed 1")
    assert pixels(home / "pure" / "0.png").shape == (16, 16, 3)


@pytest.fixture
def soon(monkeypatch):
    """Yardsticks that take no minutes."""
    monkeypatch.setattr("hush.tasks.judged.pictures.patch_space", pixel_space)
    short = partial(fit_autoencoder, steps=1)
    monkeypatch.setattr("hush.tasks.judged.anomalies.fit_autoencoder", lambda x, *_: short(x))
    for name in ("judge_segment", "judge_change"):
        quick = partial(getattr(judged, name), steps=50)
        monkeypatch.setattr(f"hush.tasks.judged.{name}", quick)


def test_pixels_get_the_classes_of_a_few_masks_and_changes_are_found(home, capsys, soon):
    for folder in ("scenes", "masks", "later", "changed"):
        (home / folder).mkdir()
    for number in range(4):
        picture = np.full((16, 16, 3), 40, np.uint8)
        mask = np.zeros((16, 16), np.uint8)
        later = picture.copy()
        picture[2:8, 2 * number : 2 * number + 6] = (220, 60, 20)
        mask[2:8, 2 * number : 2 * number + 6] = 200
        for folder, image in (("scenes", picture), ("later", later)):
            Image.fromarray(image).save(home / folder / f"{number}.png")
        for folder in ("masks", "changed"):
            Image.fromarray(mask).save(home / folder / f"{number}.png")
    hush(f"segment {home}/ddpm {home}/scenes --learn {home}/masks")
    said = capsys.readouterr().out
    assert "Learnt 2 classes (grey 0, 200) of 4" in said
    assert "mIoU on 1 held out, learnt from the other 3" in said
    hush(f"segment {home}/ddpm {home}/scenes/1.png --out {home}/parts")
    answer, truth = pixels(home / "parts" / "1.png"), truth_of(home, 1)
    red = answer[..., 0] == 0xE6
    assert (red == (truth == 200)).mean() > 0.95
    assert pixels(home / "parts" / "1-sure.png").max() == 255
    hush(f"compare {home}/ddpm {home}/scenes {home}/later --learn {home}/changed")
    assert "of the raw difference at its best threshold: 1.000." in capsys.readouterr().out
    hush(f"compare {home}/ddpm {home}/scenes/2.png {home}/later/2.png --out {home}/diff")
    assert ((pixels(home / "diff" / "2.png") > 127) == (truth_of(home, 2) == 200)).mean() > 0.9
    assert (home / "diff" / "changes.csv").read_text().startswith("picture,changed")


def test_a_run_that_is_given_pictures_is_read_beside_what_needs_no_diffusion(home, capsys, soon):
    (home / "more").mkdir()
    for number, picture in enumerate(np.random.default_rng(1).random((8, 16, 16, 3))):
        Image.fromarray((255 * picture).astype(np.uint8)).save(home / "more" / f"{number}.png")
    asked = f"--data {home}/more --size 16 --threads 1 --steps 2"
    hush(f"evaluate {home}/sr3 {asked} --regression 1 --sampler ddim")
    said = capsys.readouterr().out
    for word in ("bicubic", "regression", "sr3", "consistency", "4 pictures that the run may have"):
        assert word in said, word
    text = page(home / "sr3")
    for figure in (word for line in said.splitlines() if "±" in line for word in line.split()):
        assert figure in text, figure
    assert "what was given; bicubic; regression; sr3 (twice); sr3, exact (twice)" in text
    assert text.count('<tr class="own">') == 2
    hush(f"evaluate {home}/palette {asked} --regression 0 --count 8 --report {home}/judged.html")
    said, _, place = capsys.readouterr().out.rpartition("As a page: ")
    assert place.strip() == f"{home}/judged.html"
    assert (home / "judged.html").read_text().count("<img") == 4
    for word in ("colourise", "grey", "biharmonic", "edges", "JPEG"):
        assert word in said, word
    assert said.count("palette") == 5  # of colours, those held to the luma too
    assert said.count("palette, exact") == 1
    assert "consistency" not in said
    hush(f"evaluate {home}/sr3 {asked} --method bound")
    assert "bits per dimension" in capsys.readouterr().out


def test_what_detect_finds_is_read_beside_an_autoencoder_and_a_blur(home, capsys, soon):
    (home / "spots").mkdir()
    for number in range(3):
        mask = np.zeros((16, 16), np.uint8)
        mask[4:9, 2 + number : 9] = 255
        Image.fromarray(mask).save(home / "spots" / f"{number}.png")
    (home / "spotted").mkdir()
    for number in range(3):
        Image.open(home / "photos" / f"{number}.png").save(home / "spotted" / f"{number}.png")
    hush(
        f"evaluate {home}/ddpm --data {home}/photos --size 16 --anomalous {home}/spotted "
        f"--masks {home}/spots --steps 2 --repeats 1 --threads 1"
    )
    said = capsys.readouterr().out
    text = page(home / "ddpm")
    for word in ("AUROC of pixels", "Dice", "ddpm", "autoencoder", "blur residual", "3 pictures"):
        assert word in said, word
        assert word in text, word


def page(run):
    """The page of what was judged of a run, which shows a picture and loads nothing."""
    text = (run / "report.html").read_text()
    assert text.count('<img src="data:image/png;base64,') == 1
    assert not re.search(r'<script|(src|href)="(?!data:)|url\(|@import', text)
    return text


def truth_of(home, number):
    return pixels(home / "masks" / f"{number}.png")


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("inpaint {home}/ddpm {home}/photos/0.png --out {home}/x", "wants --mask FILE"),
        ("upscale {home}/sr3 {home}/photos/0.png --factor 3 --out {home}/x", "upscales 2 times"),
        ("upscale {home}/sr3 {home}/grey.png --out {home}/x", "grey.png is grey, and the model"),
        ("restore {home}/ddpm {home}/photos/0.png --out {home}/x", "not trained to restore"),
        ("uncrop {home}/palette {home}/photos/0.png --out {home}/x", "wants pixels to be made"),
        ("upscale {home}/sr3 {home}/nobody.png --out {home}/x", "nobody.png"),
        ("upscale {home}/sr3 {home}/sr3/state --out {home}/x", "has no pictures"),
        ("segment {home}/ddpm {home}/photos", "--learn FOLDER to learn, --out FOLDER"),
        ("segment {home}/palette {home}/photos --out {home}/x", "fit a segmenter first"),
        ("segment {home}/ddpm {home}/photos --learn {home}/hole.png", "has no picture called 0"),
        ("evaluate {home}/ddpm --data {home}/photos --size 16 --method answers", "from nothing"),
        ("evaluate {home}/sr3 --data {home}/photos --size 16", "4 or more of each"),
        ("evaluate {home}/ddpm --data {home}/photos --size 16 --masks {home}/x", "give both"),
        ("detect {home}/sr3 {home}/photos/0.png --out {home}/x", "generates"),
        ("purify {home}/ddpm {home}/photos --by difpure --out {home}/x", "diffpure"),
    ],
)
def test_what_cannot_be_done_is_told_in_a_sentence(home, line, sentence):
    with pytest.raises(UserError) as told:
        hush(line.format(home=home))
    assert sentence in str(told.value)
    assert not (home / "x").exists()
