"""Segmentation and change detection: exact on what is exact, the same after saving, and equal for
what is equal."""

import json
from dataclasses import replace

import pytest
import safetensors.torch
import torch
from safetensors import safe_open

import hush
from hush.errors import UserError
from hush.networks import Backbone
from hush.rng import Streams
from hush.tasks.change import ChangeDetector, fit_change, fit_head
from hush.tasks.features import Look
from hush.tasks.reader import Standard
from hush.tasks.segment import Ensemble, Segmenter, fit_ensemble, fit_segmenter

CLASSES = ("dark", "middle", "light")
SMALL = Backbone(width=16, multipliers=(1, 2), blocks=1, attention=(), dropout=0.0)
LOOK = Look((0.02,))


@pytest.fixture(scope="module")
def model():
    """A network that was never trained, but for branches that are no longer silent."""
    torch.manual_seed(0)
    made = hush.systems.ddpm((1, 8, 8), backbone=SMALL)
    for weight in made.denoiser.parameters():
        if weight.ndim > 1:
            torch.nn.init.normal_(weight, std=0.1)
    return made


def painted(count, seed=0):
    """Pictures whose pixels are one of three greys, and which: a label that is a function of the
    pixel's colour alone."""
    masks = (3.0 * Streams.of(seed, count).uniform((8, 8))).long()
    return (0.4 * masks + 0.1).float().unsqueeze(1), masks


# ---- Segmentation.


def test_a_label_that_is_a_pixels_colour_is_learnt_exactly_from_eight_pictures():
    """A network of silent branches hands on 16 linear views of a pixel and its eight neighbours."""
    torch.manual_seed(0)
    silent = hush.systems.ddpm((1, 8, 8), backbone=SMALL)
    look = Look((0.0,), ("down.0.0",))
    segmenter = fit_segmenter(silent, *painted(8), CLASSES, look, members=3, steps=300)
    pictures, masks = painted(6, seed=1)
    labels, share = segmenter(pictures)
    assert torch.equal(labels, masks)
    assert share.mean() > 0.98


def test_every_member_votes_once_and_the_first_of_equals_wins():
    ensemble = Ensemble(features=2, classes=3, members=4)
    for weight, bias in zip(ensemble.weights, ensemble.biases, strict=True):
        weight.data.zero_()
        bias.data.zero_()
    for member, choice in enumerate((2, 1, 2, 1)):
        ensemble.biases[-1].data[member, 0, choice] = 1.0
    votes = ensemble.votes(torch.randn(2, 2, 3, 5))
    assert votes.shape == (2, 3, 3, 5)
    expected = torch.tensor([0.0, 0.5, 0.5])
    assert torch.equal(votes, expected.reshape(1, 3, 1, 1).expand_as(votes))
    assert (votes.max(1).indices == 1).all()


def test_the_members_are_classifiers_apart():
    """Each member's logits are those of three matrix products with its own weights, and no two
    were taught alike."""
    described, masks = torch.randn(2, 6, 4, 4), painted(2)[1][:, :4, :4]
    ensemble = fit_ensemble(described, masks, 3, members=3, steps=5)
    x = torch.randn(7, 6)
    together = ensemble(x.expand(3, -1, -1))
    for member in range(3):
        own = x
        for layer, (weight, bias) in enumerate(zip(ensemble.weights, ensemble.biases, strict=True)):
            own = own @ weight[member] + bias[member]
            own = own.relu() if layer < 2 else own
        torch.testing.assert_close(together[member], own)
    assert (ensemble.weights[0][0] - ensemble.weights[0][1]).abs().max() > 1e-2


def test_pixels_without_a_label_teach_nothing():
    """Each row twice, the second time without labels, is as good as each row once."""
    described, masks = torch.randn(2, 6, 4, 8), painted(2)[1][:, :4]
    once = fit_ensemble(described, masks, 3, members=2, steps=10)
    hidden = torch.stack((masks, torch.full_like(masks, -1)), 2).flatten(1, 2)
    twice = fit_ensemble(described.repeat_interleave(2, 2), hidden, 3, members=2, steps=10)
    for one, two in zip(once.parameters(), twice.parameters(), strict=True):
        torch.testing.assert_close(one, two, rtol=1e-4, atol=1e-5)


def test_standard_features_have_mean_0_and_variance_1_and_constants_are_0():
    x = 3.0 + 2.0 * torch.randn(4, 5, 6, 6)
    x[:, 2] = 7.0
    standard = Standard(5)
    standard.fit(x)
    y = standard(x)
    variance, mean = torch.var_mean(y, (0, 2, 3), correction=0)
    torch.testing.assert_close(mean, torch.zeros(5), atol=1e-5, rtol=0)
    torch.testing.assert_close(variance, torch.tensor([1.0, 1, 0, 1, 1]), atol=1e-4, rtol=0)


def test_the_answer_does_not_depend_on_the_batch_or_on_who_is_beside(model):
    segmenter = fit_segmenter(model, *painted(3), CLASSES, LOOK, members=5, steps=100)
    pictures = painted(5, seed=2)[0]
    (labels, _), (split, _) = segmenter(pictures), segmenter(pictures, batch=2)
    assert torch.equal(labels, split)
    assert torch.equal(segmenter(pictures[3:])[0], labels[3:])


# ---- Saving.


def flipped(model):
    other = hush.systems.ddpm((1, 8, 8), backbone=SMALL)
    other.denoiser.load_state_dict(model.denoiser.state_dict())
    next(other.denoiser.parameters()).data.view(-1)[0] += 1.0
    return other


def fitted(kind, model):
    pictures, masks = painted(3)
    if kind is Segmenter:
        return fit_segmenter(model, pictures, masks, CLASSES, LOOK, members=3, steps=20)
    return fit_change(model, pictures, pictures.flip(0), masks > 1, LOOK, steps=20)


def answers(reader, pictures):
    if isinstance(reader, Segmenter):
        return reader(pictures)
    return (reader(pictures, pictures.flip(0)),)


@pytest.mark.parametrize("kind", [Segmenter, ChangeDetector])
def test_what_was_saved_gives_the_same_answers_bit_for_bit(kind, model, tmp_path):
    reader, pictures = fitted(kind, model), painted(4, seed=3)[0]
    path = reader.save(tmp_path)
    again = kind.load(tmp_path, model)
    assert again.classes == reader.classes
    assert again.look == reader.look
    assert again.look.names == ("up.0.1", "up.1.1")
    for one, two in zip(answers(reader, pictures), answers(again, pictures), strict=True):
        assert torch.equal(one, two)
    before = path.read_bytes()
    reader.save(tmp_path)  # over itself
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("kind", [Segmenter, ChangeDetector])
def test_what_cannot_be_loaded_is_told(kind, model, tmp_path):
    with pytest.raises(UserError, match=f"does not exist: fit a {kind.kind} first"):
        kind.load(tmp_path, model)
    path = fitted(kind, model).save(tmp_path)
    with pytest.raises(UserError, match="fitted on other weights"):
        kind.load(tmp_path, flipped(model))
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match="damaged"):
        kind.load(tmp_path, model)
    path.write_bytes(whole)
    with safe_open(path, "pt") as file:
        header = json.loads(file.metadata()["hush"])
    tensors = safetensors.torch.load_file(path)
    for change, words in (
        ({"sizes": {**header["sizes"], "features": 10**7}}, "larger than the weights"),
        ({"sizes": {**header["sizes"], "features": 7}}, "does not fit"),
        ({"sizes": {"size": 3}}, "does not say what it is"),
        ({"sizes": {**header["sizes"], "features": -1}}, "does not say what it is"),
        ({"look": {"colour": 1}}, "does not say what it is"),
        ({"classes": 3}, "does not say what it is"),
    ):
        about = {"hush": json.dumps(header | change)}
        safetensors.torch.save_file(tensors, path, about)
        with pytest.raises(UserError, match=words):
            kind.load(tmp_path, model)
    safetensors.torch.save_file(tensors, path)
    with pytest.raises(UserError, match="does not say what it is"):
        kind.load(tmp_path, model)


def test_masks_that_do_not_fit_are_told(model):
    pictures, masks = painted(3)
    for wrong, words in (
        (masks[:2], r"masks are torch.int64 of shape \(2, 8, 8\).*\(3, 8, 8\)"),
        (masks.float(), "torch.float32"),
        (masks + 1, "from 1 to 3; expected classes from 0 to 2"),
        (torch.full_like(masks, -1), "from -1 to -1"),
    ):
        with pytest.raises(UserError, match=words):
            fit_segmenter(model, pictures, wrong, CLASSES)
    with pytest.raises(UserError, match="before and after have shapes"):
        fit_change(model, pictures, pictures[:2], masks)
    with pytest.raises(UserError, match="changed run from 0 to 2"):
        fit_change(model, pictures, pictures, masks)


# ---- Change.


@pytest.fixture(scope="module")
def detector(model):
    return fitted(ChangeDetector, model)


def test_the_dates_may_be_exchanged(model, detector):
    before, after = painted(4, seed=5)[0], painted(4, seed=6)[0]
    assert torch.equal(detector(before, after), detector(after, before))


def test_nothing_but_the_difference_is_seen(model, detector):
    """Of two equal pictures the head sees only zeros, whatever they show."""
    one, other = (painted(1, seed)[0] for seed in (5, 6))
    assert torch.equal(detector(one, one), detector(other, other))


def test_a_change_that_is_a_pixels_difference_is_learnt_exactly():
    """One feature differs by 1 where something changed; another one by anything."""
    changed = (Streams.of(0, 12).uniform((8, 8)) < 0.3).long()
    idle = Streams.of(1, 12).uniform((1, 8, 8), torch.float32)
    difference = torch.cat((changed.unsqueeze(1).float(), idle), 1)
    head = fit_head(difference[:8], changed[:8], steps=200)
    found = head(difference[8:]).argmax(1)
    assert torch.equal(found, changed[8:])


def test_pairs_without_any_label_are_left_out():
    difference = Streams.of(1, 12).uniform((2, 8, 8), torch.float32)
    changed = (difference[:, 0] > 0.5).long()
    hidden = torch.where(torch.arange(12).reshape(-1, 1, 1) < 4, changed, -1)
    head = fit_head(difference, hidden, steps=20)
    assert all(weight.isfinite().all() for weight in head.parameters())


def test_a_reader_is_a_value(model):
    segmenter = fitted(Segmenter, model)
    assert replace(segmenter, classes=("a", "b", "c")).head is segmenter.head
    assert not any(weight.requires_grad for weight in segmenter.head.parameters())
