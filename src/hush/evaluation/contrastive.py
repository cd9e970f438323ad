"""A small dual encoder of pictures and captions, taught on the spot."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from hush.data import Source
from hush.errors import UserError
from hush.evaluation.fitting import fit
from hush.networks.dual import DualEncoder, vocabulary
from hush.rng import Streams, derive
from hush.world import World


def fit_dual(
    source: Source,
    captions: Sequence[str],
    seed: int = 0,
    steps: int = 2000,
    batch: int = 128,
    learning_rate: float = 1e-3,
    width: int = 64,
    noise: float = 0.2,
) -> DualEncoder:
    """A dual encoder of the pictures of a source and their captions: same seed, same machine, same
    weights.

    Of each batch every picture is to find its caption among those of the batch, and every caption
    its pictures: the mean of both cross-entropies, equal captions sharing their part. Pictures have
    white noise of a standard deviation up to `noise`, each its own, so that what looks like noise
    means nothing to the encoder and the gradient of its answer looks like a picture. It stands
    where the machine is fastest, frozen. Raises `UserError` for captions that do not fit the
    pictures.
    """
    if len(captions) != len(source) or len(set(captions)) < 2:
        raise UserError(
            f"{source.name} has {len(source)} pictures and {len(captions)} captions, "
            f"{len(set(captions))} of them different; expected one each, and 2 or more different."
        )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive(seed, "dual weights"))
        encoder = DualEncoder(source.shape, vocabulary(captions), width)
    encoder.to(World().device)
    rng = Streams.of(derive(seed, "dual noise"), batch)

    def loss(chosen: Tensor) -> Tensor:
        nonlocal rng
        items = chosen.tolist()
        images = source.read(items)["image"]
        level = (noise * rng.uniform((1, 1, 1))).to(images)
        images = images + level * rng.next().normal(source.shape)
        rng = rng.next(2)
        return contrast(encoder, images.to(chosen.device), [captions[item] for item in items])

    fit(encoder, loss, len(source), seed, steps, batch, learning_rate)
    return encoder


def contrast(
    encoder: DualEncoder,
    images: Float[Tensor, "batch channel height width"],
    captions: Sequence[str],
) -> Float[Tensor, ""]:
    """-½ E log p(caption | picture) - ½ E log p(picture | caption), among those of the batch."""
    distinct = sorted(set(captions))
    place = torch.tensor([distinct.index(caption) for caption in captions], device=images.device)
    logits = encoder.similarity(encoder.pictures(images), encoder.captions(distinct)[place])
    same = (place[:, None] == place[None, :]).to(logits)
    wanted = same / same.sum(1, keepdim=True)
    return 0.5 * (F.cross_entropy(logits, wanted) + F.cross_entropy(logits.T, wanted))
