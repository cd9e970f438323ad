"""Two folders with the same names: partners found, cropped and mirrored alike, or refused."""

import shlex

import numpy as np
import pytest
import torch
from pictures import noise, refused, write
from PIL import Image

import hush.data as data
from hush.app import cli

MANY = 40


def larger(pixels, factor):
    return pixels.repeat(factor, 0).repeat(factor, 1)


def both(tmp_path, makes, endings=("png", "png")):
    """Two folders, of each name a picture and the one given of it."""
    for name, (sharp, given) in makes.items():
        write(tmp_path / "sharp" / f"{name}.{endings[0]}", sharp)
        write(tmp_path / "given" / f"{name}.{endings[1]}", given)
    return tmp_path / "sharp", tmp_path / "given"


# -- who belongs to whom --------------------------------------------------------------------------


def test_partners_are_found_by_name_whatever_their_ending_and_come_in_the_order_of_names(tmp_path):
    grey = {
        name: np.full((4, 4), value, np.uint8) for name, value in zip("cab", (3, 1, 2), strict=True)
    }
    folders = both(tmp_path, {n: (p, 10 * p) for n, p in grey.items()}, ("png", "bmp"))
    source = data.pairs(*folders)
    record = source.read([2, 0, 1])
    assert record["image"][:, 0, 0, 0].mul(255).round().tolist() == [3, 1, 2]
    assert record["given"][:, 0, 0, 0].mul(255).round().tolist() == [30, 10, 20]
    assert "label" not in record
    assert len(source) == 3
    assert source.shape == source.given_shape == (1, 4, 4)
    assert "each with one of 1x4x4 given" in source.summary()
    with pytest.raises(IndexError):
        source.read([3])


def test_subfolders_are_part_of_the_name_and_label_the_pairs(tmp_path):
    grey = {"cat/1": 1, "dog/1": 2, "dog/2": 3}
    makes = {
        n: (np.full((4, 4), v, np.uint8), np.full((4, 4), v, np.uint8)) for n, v in grey.items()
    }
    source = data.pairs(*both(tmp_path, makes))
    record = source.read(range(3))
    assert source.classes == ("cat", "dog")
    assert record["label"].tolist() == [0, 1, 1]
    assert torch.equal(record["image"], record["given"])
    assert "label" not in data.pairs(*both(tmp_path, makes), labels=False).read([0])


def test_a_colour_picture_may_be_given_grey(tmp_path):
    source = data.pairs(*both(tmp_path, {"a": (noise(8, 8, 3), noise(8, 8))}))
    assert (source.shape, source.given_shape) == ((3, 8, 8), (1, 8, 8))


# -- the same place -------------------------------------------------------------------------------


@pytest.mark.parametrize("crop", ["centre", "random"])
@pytest.mark.parametrize("factor", [1, 2, 3])
@pytest.mark.parametrize("slack", [(0, 0), (0, 5), (3, 0), (0, 8)])
def test_both_are_cropped_at_the_same_place_and_mirrored_alike(tmp_path, crop, factor, slack):
    """The sharp ones are the given ones with every pixel a block of `factor`: so are the crops."""
    low = {str(i): noise(6 + slack[0], 6 + slack[1], seed=i) for i in range(4)}
    folders = both(tmp_path, {name: (larger(p, factor), p) for name, p in low.items()})
    source = data.pairs(*folders, size=6 * factor, given_size=6, crop=crop, flip=True)
    items = [i % 4 for i in range(MANY)]
    record = source.read(items, range(MANY))
    blocks = record["given"].repeat_interleave(factor, 2).repeat_interleave(factor, 3)
    assert torch.equal(record["image"], blocks)
    found = {record["given"][i].numpy().tobytes() for i in range(0, MANY, 4)}
    assert len(found) > (2 if crop == "random" and any(slack) else 1)
    still = source.read([0])
    assert torch.equal(still["image"][0, :, ::factor, ::factor], still["given"][0])


def test_every_place_of_the_coarser_picture_is_drawn(tmp_path):
    low = noise(4, 9, seed=1)
    folders = both(tmp_path, {"a": (larger(low, 2), low)})
    source = data.pairs(*folders, size=8, given_size=4, crop="random")
    given = source.read([0] * 200, range(200))["given"]
    columns = torch.from_numpy(low).float().div(255).unfold(1, 4, 1).transpose(0, 1)
    seen = {int((crop[0] == columns).all((1, 2)).nonzero()) for crop in given}
    assert seen == set(range(6))


@pytest.mark.parametrize("sides", [(64, 64), (64, 16), (32, 128)])
def test_pictures_that_are_resampled_show_the_same_part_too(tmp_path, sides):
    """A smooth scene, photographed once finely and once coarsely."""

    def scene(height, width):
        y, x = (np.arange(n) / n + 0.5 / n for n in (height, width))
        values = 0.5 + 0.25 * np.sin(5 * x)[None] + 0.25 * np.cos(9 * y + 1)[:, None]
        return Image.fromarray(values.astype(np.float32))

    big = (sides[0], 2 * sides[0])
    small = (sides[1], 2 * sides[1])
    folders = both(tmp_path, {"a": (scene(*big), scene(*small))}, ("tiff", "tiff"))
    source = data.pairs(*folders, size=16, crop="random", flip=True)
    record = source.read([0] * MANY, range(MANY))
    gap = (record["image"] - record["given"]).abs()
    assert record["image"].std(0).mean() > 0.1  # the crops differ
    assert gap[..., 2:-2, 2:-2].max() < 0.02


def test_crops_are_those_of_the_pictures_alone_where_the_sides_are_equal(tmp_path):
    makes = {str(i): (noise(9, 12, seed=i), noise(9, 12, seed=i + 9)) for i in range(3)}
    folders = both(tmp_path, makes)
    source = data.pairs(*folders, size=5, crop="random", flip=True)
    alone = [data.images(path, size=5, crop="random", flip=True) for path in folders]
    record, draws = source.read([0, 1, 2], [7, 8, 9]), [7, 8, 9]
    for field, one in zip(("image", "given"), alone, strict=True):
        assert torch.equal(record[field], one.read([0, 1, 2], draws)["image"])


def test_pairs_are_read_in_batches_and_split_like_any_source(tmp_path):
    makes = {str(i): (np.full((4, 4), i, np.uint8),) * 2 for i in range(9)}
    source = data.pairs(*both(tmp_path, makes))
    record = next(data.batches(source, 6, seed=2, workers=1))
    assert torch.equal(record["image"], record["given"])
    assert record["image"][:, 0, 0, 0].mul(255).round().long().tolist() == record["index"].tolist()
    train, held_out = data.split(source, 0.3)
    assert (len(train), len(held_out)) == (6, 3)
    assert set(held_out.read([0])) == {"image", "given"}


# -- the record of them ---------------------------------------------------------------------------


def test_the_digest_changes_with_the_names_of_either_side(tmp_path):
    makes = {name: (noise(4, 4), noise(4, 4)) for name in "ab"}
    sharp, given = both(tmp_path, makes)
    before = data.pairs(sharp, given).digest()
    assert data.pairs(sharp, given).digest() == before
    (given / "b.png").rename(given / "b.PNG")
    after = data.pairs(sharp, given).digest()
    both(tmp_path, {"c": (noise(4, 4), noise(4, 4))})
    digests = {before, after, data.pairs(given, sharp).digest()}
    (given / "b.PNG").rename(given / "b.png")
    assert len(digests | {data.pairs(sharp, given).digest()}) == 4


# -- refused --------------------------------------------------------------------------------------


def test_pictures_without_a_partner_are_counted_and_some_of_them_named(tmp_path):
    sharp, given = both(tmp_path, {"both": (noise(4, 4), noise(4, 4))})
    for name in "vwxyz":
        write(sharp / f"{name}.png", noise(4, 4))
    write(given / "sub/x.png", noise(4, 4))
    words = ("sharp has 5 without", "v, w, x and 2 more", "given has 1 without", "sub/x", "rename")
    refused(lambda: data.pairs(sharp, given), *words)


def test_two_pictures_of_one_name_are_refused(tmp_path):
    sharp, given = both(tmp_path, {"a": (noise(4, 4), noise(4, 4))})
    write(given / "a.bmp", noise(4, 4))
    refused(lambda: data.pairs(sharp, given), "given has 1 names", "(a)", "more than one picture")


def test_partners_of_another_form_are_refused_unless_stretched(tmp_path):
    makes = {"a": (noise(8, 8), noise(4, 4)), "b": (noise(8, 16), noise(8, 8))}
    folders = both(tmp_path, makes)
    refused(lambda: data.pairs(*folders, size=4), "b.png is 16x8", "8x8", "1 of the pairs", "crop=")
    assert data.pairs(*folders, size=4, crop="stretch").read([1])["given"].shape == (1, 1, 4, 4)
    # A row that did not make a whole pixel is lost when a picture is made smaller.
    data.pairs(*both(tmp_path / "odd", {"a": (noise(9, 17), noise(4, 8))}), size=4)


def test_shapes_must_be_whole_multiples(tmp_path):
    folders = both(tmp_path, {"a": (noise(24, 24), noise(24, 24))})
    for sides in ((12, 8), (12, 5), ((12, 8), 4)):
        words = ("sharp is read as", "given as", "whole multiple")
        refused(lambda sides=sides: data.pairs(*folders, *sides), *words)
    assert data.pairs(*folders, 6, 12).given_shape == (1, 12, 12)


def test_sources_that_would_part_the_pairs_are_refused(tmp_path):
    sharp, given = both(tmp_path, {"a": (noise(8, 8), noise(8, 8))})
    whole, lenient = data.images(sharp), data.images(given, skip_broken=True)
    refused(lambda: data.Pairs(whole, lenient), "skip_broken", "partner")
    random = data.images(given, crop="random")
    refused(lambda: data.Pairs(whole, random), "crop=centre", "crop=random", "alike")
    (given / "a.png").write_bytes(b"no picture")
    refused(lambda: data.pairs(sharp, given), "a.png", "cannot be read")
    refused(lambda: data.pairs(sharp, tmp_path / "nowhere"), "nowhere", "does not exist")


# -- on the command line --------------------------------------------------------------------------

TINY = "--width 8 --multipliers 1 2 --blocks 1 --attention --dropout 0 --batch 4 --warmup 1 "
TINY += "--chain 25 --steps 2 --sample-every 50 --threads 1 --held-out 0.3"


def train(line):
    cli.run(shlex.split(f"train {line} {TINY}"))


def weights(run):
    return run.joinpath("model.safetensors").read_bytes()


def test_a_run_learns_from_the_pairs_it_is_given(tmp_path, capsys):
    """Without them it would make the small pictures itself: of negatives it learns something else,
    and of the very means that it would have taken the same."""
    means, negatives = tmp_path / "means", tmp_path / "negatives"
    for number in range(6):
        small = noise(4, 4, seed=number)
        write(tmp_path / "large" / f"{number}.png", larger(small, 2))
        write(means / f"{number}.png", small)
        write(negatives / f"{number}.png", 255 - small)
    whole = f"sr3 --factor 2 --data {tmp_path}/large --size 8"
    train(f"{whole} --out {tmp_path}/alone")
    for folder in (means, negatives):
        train(f"{whole} --given {folder} --out {tmp_path}/of-{folder.name}")
    assert "each with one of 1x4x4 given" in capsys.readouterr().err
    assert weights(tmp_path / "of-means") == weights(tmp_path / "alone")
    assert weights(tmp_path / "of-negatives") != weights(tmp_path / "alone")
    for line, words in (
        (f"{whole} --given {tmp_path}/nobody", ("nobody does not exist",)),
        (f"ddpm --data {tmp_path}/large --given {means}", ("ddpm makes no picture from another",)),
        (
            f"sr3 --factor 4 --data {tmp_path}/large --given {means}",
            ("sr3 makes pictures of 1x8x8", "are 1x4x4, and 1x16x16 as it sees them"),
        ),
        (f"{whole} --given {means} --skip-broken", ("skip_broken would leave a picture",)),
    ):
        refused(lambda line=line: train(f"{line} --out {tmp_path}/x"), *words)
    assert not (tmp_path / "x").exists()
