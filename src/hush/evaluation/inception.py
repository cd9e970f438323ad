"""The features that published Fréchet distances are measured in: those of torch-fidelity's
Inception, whose weights are never fetched, only read from where the user keeps them."""

import importlib
import importlib.util
import io
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from pickle import UnpicklingError
from types import ModuleType

import torch
from jaxtyping import Float
from torch import Tensor, nn

from hush.errors import UserError
from hush.evaluation.spaces import FeatureSpace

FILE = "pt_inception-2015-12-05-6726825d.pth"
LAYER = "2048"  # the last pooling
_PACKAGE = "torch_fidelity"
_CHUNK = 64

Pictures = Float[Tensor, " count *event"]


def inception(weights: Path | None) -> FeatureSpace:
    """The map of pictures in [0, 1], grey ones made colour, to the 2048 features of the Inception
    of Heusel et al. 2017. Distances in it are FID and KID as others publish them, if of as many
    pictures as theirs.

    `weights` is the file of pytorch-fid or torch-fidelity. Nothing but tensors is read from it.
    Raises `UserError` without torch-fidelity, and for a file that is not there or is another.
    """
    network = _loaded(weights)

    @torch.no_grad()
    def features(pictures: Pictures) -> Tensor:
        return torch.cat([network(_bytes(part))[0].cpu() for part in pictures.split(_CHUNK)])

    return FeatureSpace(features, "in the features of Inception")


def _bytes(pictures: Pictures) -> Tensor:
    """8 bits a channel in three channels, as pictures are stored."""
    if pictures.ndim != 4 or pictures.shape[1] not in (1, 3):
        raise UserError(
            f"Inception looks at pictures, grey or in colour; these records are of shape "
            f"{tuple(pictures.shape[1:])}. Choose other features."
        )
    levels = (255.0 * pictures.clamp(0.0, 1.0)).round().to(torch.uint8)
    return levels.expand(-1, 3, -1, -1).cpu()


def _loaded(weights: Path | None) -> nn.Module:
    if weights is None or not weights.is_file():
        named = "a file must be named" if weights is None else f"{weights} is not there"
        raise UserError(
            f"Inception needs its weights, and {named}: give --weights {FILE}, the file of "
            "pytorch-fid or torch-fidelity."
        )
    content = weights.read_bytes()
    with _package() as module:
        try:
            # Unpickled without restraint below, by their code; so first with restraint.
            torch.load(io.BytesIO(content), weights_only=True)
            made = module.FeatureExtractorInceptionV3
            return made("inception", [LAYER], feature_extractor_weights_path=io.BytesIO(content))
        except (RuntimeError, UnpicklingError, ValueError, EOFError, TypeError) as error:
            said = str(error).strip().splitlines()[0]
            raise UserError(
                f"{weights} holds no weights of Inception ({said}): give {FILE}."
            ) from error


@contextmanager
def _package() -> Iterator[ModuleType]:
    """torch-fidelity's module of Inception, without the others of its package: those want
    torchvision, which has no build for every machine."""
    found = importlib.util.find_spec(_PACKAGE)
    if found is None:
        raise UserError(
            "Features of Inception need torch-fidelity, which is not installed: pip install "
            "--no-deps torch-fidelity."
        )
    whole = _PACKAGE in sys.modules
    sys.modules.setdefault(_PACKAGE, importlib.util.module_from_spec(found))
    try:
        yield importlib.import_module(f"{_PACKAGE}.feature_extractor_inceptionv3")
    finally:
        if not whole:
            del sys.modules[_PACKAGE]
