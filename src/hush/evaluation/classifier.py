"""A small classifier trained on the spot; its last layer but one is a space for distances."""

from collections.abc import Iterator

import torch
from jaxtyping import Float, Int64, Shaped
from torch import Tensor, nn
from torch.nn import functional as F

from hush.errors import UserError
from hush.networks.trunk import trunk
from hush.rng import derive

_CHUNK = 512  # pictures seen at once where no gradient is kept


class Classifier(nn.Module):
    """Convolutions that halve the picture down to 4 pixels a side, `width` features, then logits.

    Takes float pictures (batch, channel, height, width) in [0, 1]. `shape` is that of one picture,
    `width` a multiple of 16. Raises `UserError` for pictures under 4x4.
    """

    def __init__(self, shape: tuple[int, int, int], classes: int, width: int = 64) -> None:
        super().__init__()
        self.settings = {"shape": tuple(shape), "classes": classes, "width": width}
        self.trunk = trunk(shape, width)
        self.embed = nn.Linear(4 * width, width)
        self.decide = nn.Linear(width, classes)

    def features(
        self, images: Float[Tensor, "batch channel height width"]
    ) -> Float[Tensor, "batch feature"]:
        """The last layer but one, (batch, width): the decision is linear in it."""
        return F.relu(self.embed(self.trunk(2.0 * images - 1.0)))

    def forward(
        self, images: Float[Tensor, "batch channel height width"]
    ) -> Float[Tensor, "batch classes"]:
        """The logits, (batch, classes)."""
        return self.decide(self.features(images))


def fit_classifier(
    images: Float[Tensor, "count channel height width"],
    labels: Int64[Tensor, " count"],
    classes: int,
    seed: int = 0,
    steps: int = 600,
    batch: int = 64,
    learning_rate: float = 3e-3,
) -> Classifier:
    """A classifier of these pictures in [0, 1]: same seed, same machine, same weights.

    `steps` batches of AdamW under a one-cycle learning rate. The budget does not grow with the
    pictures, so that sets of different size are taught alike. The answer stands on the device of
    `images`, frozen. Raises `UserError` for labels that fit neither the pictures nor the classes.
    """
    check_labels("labels", labels, len(images), classes)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive(seed, "classifier weights"))
        classifier = Classifier(tuple(images.shape[1:]), classes)
    classifier.to(images.device)
    labels = labels.to(images.device)
    optimiser = torch.optim.AdamW(classifier.parameters(), learning_rate, weight_decay=0.01)
    cycle = torch.optim.lr_scheduler.OneCycleLR(optimiser, learning_rate, total_steps=steps)
    # Whoever calls from within no_grad (a sampler does) still gets a classifier that has learnt.
    with torch.enable_grad():
        for chosen in _batches(len(images), steps, batch, derive(seed, "classifier batches")):
            chosen = chosen.to(images.device)
            optimiser.zero_grad()
            F.cross_entropy(classifier(images[chosen]), labels[chosen]).backward()
            optimiser.step()
            cycle.step()
    return classifier.eval().requires_grad_(False)


def accuracy(
    classifier: Classifier,
    images: Float[Tensor, "count channel height width"],
    labels: Int64[Tensor, " count"],
) -> float:
    """The share of pictures that get their own class, in [0, 1]."""
    guesses = torch.cat([classifier(part).argmax(1) for part in images.split(_CHUNK)])
    return float((guesses == labels.to(guesses.device)).double().mean())


def embed(
    classifier: Classifier, images: Float[Tensor, "count channel height width"]
) -> Float[Tensor, "count feature"]:
    """`classifier.features` of many pictures, a part at a time."""
    return torch.cat([classifier.features(part) for part in images.split(_CHUNK)])


def check_labels(name: str, labels: Shaped[Tensor, "..."], count: int, classes: int) -> None:
    """Raise `UserError` unless `labels` are `count` integers from 0 to `classes` - 1."""
    if labels.shape != (count,) or labels.is_floating_point() or count == 0:
        raise UserError(
            f"{name} are {labels.dtype} of shape {tuple(labels.shape)}; expected integers of shape "
            f"({count},), one for each of at least one picture."
        )
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high >= classes:
        raise UserError(f"{name} run from {low} to {high}; expected 0 to {classes - 1}.")


def _batches(count: int, steps: int, batch: int, seed: int) -> Iterator[Int64[Tensor, " batch"]]:
    """Indices of `steps` batches; each picture is used once before any is used again."""
    generator = torch.Generator().manual_seed(seed)
    order = torch.empty(0, dtype=torch.int64)
    for _ in range(steps):
        if len(order) < min(batch, count):  # a short end of an epoch is left out
            order = torch.randperm(count, generator=generator)
        yield order[:batch]
        order = order[batch:]
