"""Inception's features: as torch-fidelity computes them, from a file and from nowhere else. There
are no trained weights here, so those of its file are random ones."""

import importlib.util
import os
import pickle
import socket
import sys
from unittest import mock

import pytest
import torch

from hush.errors import UserError
from hush.evaluation import frechet
from hush.evaluation.inception import _package, inception

torch.set_num_threads(1)
installed = importlib.util.find_spec("torch_fidelity") is not None
needs = pytest.mark.skipif(not installed, reason="torch-fidelity is not installed")


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A file of the right names and shapes."""
    path = tmp_path_factory.mktemp("inception") / "weights.pth"
    generator = torch.Generator().manual_seed(0)
    with _package() as module, pytest.MonkeyPatch.context() as patch:
        made = module.FeatureExtractorInceptionV3
        patch.setattr(made, "load_state_dict", lambda self, state: None)
        torch.save({}, path)
        network = made("inception", ["2048"], feature_extractor_weights_path=str(path))
    for weight in network.parameters():
        if weight.ndim == 4:  # so that what goes through is not lost on the way
            scale = (2.0 / weight[0].numel()) ** 0.5
            weight.copy_(scale * torch.randn(weight.shape, generator=generator))
    torch.save(network.state_dict(), path)
    return path


@pytest.fixture(scope="module")
def features(weights):
    pictures = torch.rand(9, 1, 8, 8, generator=torch.Generator().manual_seed(1))
    return inception(weights).of(pictures)


@needs
def test_features_are_the_last_pooling_and_the_distance_torch_fidelitys_own(features):
    assert features.shape == (9, 2048)
    assert features.std(0).mean() > 1e-3
    one, other = features[:5], features[5:]
    assert frechet(one, one) == pytest.approx(0.0, abs=1e-6 * float(one.var(0).sum()))
    # Its module of this number wants, of a module that wants torchvision, what is not asked for.
    with _package(), mock.patch.dict(sys.modules, {"torch_fidelity.utils": mock.MagicMock()}):
        theirs = importlib.import_module("torch_fidelity.metric_fid")
    one, other = one[:, ::8], other[:, ::8]
    statistics = [theirs.fid_features_to_statistics(part) for part in (one, other)]
    wanted = theirs.fid_statistics_to_metric(*statistics, verbose=False)
    assert frechet(one, other) == pytest.approx(wanted[theirs.KEY_METRIC_FID], rel=1e-4)


@needs
def test_without_a_file_it_says_which_and_fetches_none(tmp_path, monkeypatch):
    def never(*args, **kwargs):
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket, "create_connection", never)
    monkeypatch.setattr(torch.hub, "download_url_to_file", never)
    with pytest.raises(UserError, match=r"--weights pt_inception-2015-12-05-6726825d\.pth"):
        inception(None)
    with pytest.raises(UserError, match=r"gone\.pth is not there"):
        inception(tmp_path / "gone.pth")


class Harm:
    """What a pickle could do."""

    def __reduce__(self):
        return os.mkdir, ("harmed",)


@needs
def test_a_file_that_is_no_weights_is_refused_and_runs_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"a": torch.zeros(2)}, tmp_path / "other.pth")
    (tmp_path / "text.pth").write_text("nothing")
    (tmp_path / "harm.pth").write_bytes(pickle.dumps(Harm()))
    for name in ("other", "text", "harm"):
        with pytest.raises(UserError, match=f"{name}.pth holds no weights of Inception"):
            inception(tmp_path / f"{name}.pth")
    assert not (tmp_path / "harmed").exists()


def test_without_the_package_it_says_how_to_have_it(tmp_path, monkeypatch):
    (tmp_path / "weights.pth").write_bytes(b"")
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if "fidelity" in name else find(name)
    )
    with pytest.raises(UserError, match="pip install --no-deps torch-fidelity"):
        inception(tmp_path / "weights.pth")


@needs
def test_series_are_no_pictures(weights):
    with pytest.raises(UserError, match=r"shape \(2, 12\)"):
        inception(weights).of(torch.zeros(3, 2, 12))
