"""The dual encoder: what belongs together lies close, and what it is asked is told."""

import math

import pytest
import torch

from hush.data import InMemory
from hush.errors import UserError
from hush.evaluation.contrastive import contrast, fit_dual
from hush.networks.dual import DualEncoder, vocabulary
from hush.rng import Streams

TEXTS = ("light on the left", "light on the right", "dark on the left, dark on the right")


def encoder(width=16):
    torch.manual_seed(0)
    return DualEncoder((1, 8, 8), vocabulary(TEXTS), width).eval()


def lit(count, seed=0):
    """Pictures that are light on one side, and captions that say which."""
    side = torch.arange(count) % 2
    left = torch.arange(8).lt(4).float().expand(1, 8, 8)
    light = torch.where(side.reshape(-1, 1, 1, 1) == 0, left, 1.0 - left)
    pictures = 0.6 * light + 0.4 * Streams.of(seed, count).uniform((1, 8, 8), torch.float32)
    return pictures, [TEXTS[i] for i in side.tolist()]


def test_vectors_are_of_length_one_and_similarity_is_their_cosine_over_the_temperature():
    dual = encoder()
    seen, said = dual.pictures(lit(5)[0]), dual.captions(TEXTS)
    for vectors in (seen, said):
        torch.testing.assert_close(vectors.norm(dim=1), torch.ones(len(vectors)))
    cosine = torch.nn.functional.cosine_similarity(seen[:, None], said[None], dim=2)
    torch.testing.assert_close(dual.similarity(seen, said), cosine / 0.07)


def test_a_caption_is_its_words_in_their_order_whatever_stands_beside_it():
    dual = encoder()
    alone = dual.captions(TEXTS[:1])
    torch.testing.assert_close(dual.captions(TEXTS)[:1], alone)
    assert torch.equal(dual.captions(["LIGHT, on the left!"]), alone)
    assert not torch.allclose(dual.captions(["left the on light"]), alone, atol=1e-3)


def test_the_loss_is_the_cross_entropy_both_ways_and_equal_captions_share_their_part():
    """By hand; and of captions that are all equal nothing can be told: log n, either way."""
    dual, (pictures, captions) = encoder(), lit(4)
    logits = dual.similarity(dual.pictures(pictures), dual.captions(captions))
    own = torch.tensor([[float(a == b) for b in captions] for a in captions]) / 2.0
    ways = [-(own * logits.log_softmax(axis)).sum() / 4 for axis in (0, 1)]
    torch.testing.assert_close(contrast(dual, pictures, captions), sum(ways) / 2)
    same = contrast(dual, pictures[:1].expand(4, -1, -1, -1), captions[:1] * 4)
    assert same.item() == pytest.approx(math.log(4), rel=1e-5)


def test_it_learns_which_caption_is_whose_and_the_seed_is_all_there_is_to_it():
    pictures, captions = lit(64)
    taught = [
        fit_dual(InMemory(pictures), captions, seed, steps=40, batch=16, width=16)
        for seed in (1, 1, 2)
    ]
    unseen, truth = lit(20, seed=5)
    dual = taught[0]
    seen, said = dual.pictures(unseen), dual.captions(TEXTS[:2])
    best = dual.similarity(seen, said).argmax(1)
    assert [TEXTS[i] for i in best.tolist()] == truth
    weights = [torch.cat([w.flatten() for w in one.parameters()]) for one in taught]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])
    assert not any(weight.requires_grad for weight in dual.parameters())


@pytest.mark.parametrize(
    ("caption", "sentence"),
    [
        ("light on the lefd", "taught no word 'lefd', of 'light on the lefd': did you mean left"),
        ("...", "has 0 words; expected 1 to 32"),
        ("light " * 33, "has 33 words; expected 1 to 32"),
    ],
)
def test_what_it_cannot_read_is_told(caption, sentence):
    with pytest.raises(UserError, match=sentence):
        encoder().captions([caption])


def test_captions_that_do_not_fit_the_pictures_are_told():
    pictures, captions = lit(4)
    for wrong in (captions[:3], captions[:1] * 4):
        with pytest.raises(UserError, match="expected one each, and 2 or more different"):
            fit_dual(InMemory(pictures), wrong)
