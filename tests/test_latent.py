"""Autoencoders as systems, and diffusion in their latents."""

import pytest
import torch
from torch import nn
from torch.func import functional_call

from hush import systems
from hush.codecs import Latent, Range
from hush.data import InMemory
from hush.denoisers import Decoded
from hush.distributions import Gaussian
from hush.errors import UserError
from hush.evaluation import likelihood
from hush.networks import VAE, VQVAE, Autoencoder, Backbone, PatchCritic
from hush.objectives import EvidenceLowerBound, Reconstruction
from hush.rng import Streams
from hush.systems.index import load
from hush.systems.taken import Taken
from hush.tasks import answers, question
from hush.training.loop import train
from hush.training.run import Run

SIZES = {"width": 8, "multipliers": (1, 2), "blocks": 1, "latent": 3}
SHORT = {"batch": 8, "learning_rate": 1e-3, "warmup": 2, "held_out": 0.2, "show": False}
SMALL = Backbone(width=8, multipliers=(1, 2), blocks=1, attention=(1,), dropout=0.0)


def pictures(count=40, shape=(1, 8, 8)):
    return ((Streams.of(1, count).uniform(shape) * 16).round() / 16).float()


@pytest.fixture(scope="module")
def source():
    return InMemory(pictures(), torch.arange(40) % 3, levels=17)


@pytest.fixture(scope="module")
def first(source, tmp_path_factory):
    """The run of an autoencoder, a few steps old."""
    torch.manual_seed(0)
    out = tmp_path_factory.mktemp("runs") / "first"
    system = systems.autoencoder((1, 8, 8), **SIZES, adversarial=0.5, critic=8)
    train(system, source, out, **SHORT, steps=6, save_every=3)
    return out


def perturbed(network):
    for weight in network.parameters():
        weight.data += 0.1 * torch.randn_like(weight)
    return network.double()


@pytest.mark.parametrize("kind", [VAE, VQVAE])
def test_an_autoencoder_without_a_critic_is_taught_by_the_bound(kind):
    torch.manual_seed(0)
    network, x_0 = perturbed(kind((1, 8, 8), **SIZES)), 2 * pictures(5).double() - 1
    rng = Streams.of(3, 5)
    loss = Reconstruction(kl_weight=0.3).at(Decoded(network), x_0, 1.0, rng)
    bound = EvidenceLowerBound(kl_weight=0.3)(network, x_0, rng) / x_0[0].numel()
    z = network.encode(x_0)[0]
    torch.testing.assert_close(loss, bound + network.strain(z), rtol=1e-6, atol=0)


def game(adversarial=0.7):
    """A maker and a critic, data, streams, and the loss of both."""
    torch.manual_seed(0)
    denoiser = Decoded(perturbed(VAE((1, 8, 8), **SIZES)), perturbed(PatchCritic(1, 8)))
    x_0, rng = pictures(4).double(), Streams.of(3, 4)
    return denoiser, x_0, rng, Reconstruction(adversarial=adversarial)


def terms(denoiser, x_0, rng):
    """x̂, and of each sample -log p(x | z) per element and what a frozen critic says against x̂."""
    made = denoiser.network.decode(denoiser.process.marginal(x_0).sample(rng))
    law = Gaussian(made, denoiser.network.log_variance.exp())
    frozen = {name: weight.detach() for name, weight in denoiser.critic.named_parameters()}
    fooled = -functional_call(denoiser.critic, frozen, (made,)).flatten(1).mean(1)
    return made, -law.log_prob(x_0) / x_0[0].numel(), fooled


def test_each_player_is_moved_by_its_own_loss_alone():
    denoiser, x_0, rng, objective = game()
    network, critic = denoiser.children()
    loss = objective.at(denoiser, x_0, 1.0, rng).sum()
    players = list(network.parameters()), list(critic.parameters())
    moved = [torch.autograd.grad(loss, each, retain_graph=True) for each in players]

    made, data, fooled = terms(denoiser, x_0, rng)
    slopes = [torch.autograd.grad(one.sum(), made, retain_graph=True)[0] for one in (data, fooled)]
    lengths = [slope.flatten(1).norm(dim=1) for slope in slopes]
    alone = Reconstruction().at(denoiser, x_0, 1.0, rng).sum()
    wanted = torch.autograd.grad(
        alone + (0.7 * lengths[0] / lengths[1] * fooled).sum(), players[0], retain_graph=True
    )
    for got, want in zip(moved[0], wanted, strict=True):
        torch.testing.assert_close(got, want)
    doubt = (1 - critic(x_0)).relu() + (1 + critic(made.detach())).relu()
    wanted = torch.autograd.grad(0.5 * doubt.flatten(1).mean(1).sum(), players[1])
    for got, want in zip(moved[1], wanted, strict=True):
        torch.testing.assert_close(got, want)


def test_a_critic_pulls_as_hard_as_it_is_let_however_steep_it_is():
    denoiser, x_0, rng, objective = game()
    weights = list(denoiser.network.parameters())
    pulls = []
    for steeper in (1.0, 50.0):
        for weight in denoiser.critic.layers[-1].parameters():
            weight.data *= steeper
        loss = objective.at(denoiser, x_0, 1.0, rng).sum()
        pulls.append(torch.autograd.grad(loss, weights))
    for one, other in zip(*pulls, strict=True):
        torch.testing.assert_close(one, other)


def test_with_a_critic_parts_of_a_batch_teach_what_the_whole_does():
    denoiser, x_0, rng, objective = game()
    whole = objective.at(denoiser, x_0, 1.0, rng)
    part = objective.at(denoiser, x_0[1:2], 1.0, rng[1:2])
    torch.testing.assert_close(part, whole[1:2])


class Same(Autoencoder):
    """It says the same of everything."""

    def __init__(self):
        super().__init__((1,))
        self.said = nn.Parameter(torch.zeros(1, 4, 4))

    def encode(self, x):
        return x.new_zeros(len(x), 1), x.new_zeros(len(x), 1)

    def decode(self, z):
        return self.said.expand(len(z), -1, -1, -1)


@pytest.mark.parametrize("share", [0.3, 0.5**0.5])
def test_a_critic_that_is_never_pleased_costs_a_known_share_of_fidelity(share):
    """Where an answer rests its squared error is 1/(1 - a²) of the least, a the `adversarial`."""
    torch.manual_seed(0)
    critic = PatchCritic(1, layers=0)  # linear, so that it asks for the same whatever it is shown
    denoiser = Decoded(Same(), critic).double()
    said, x_0 = denoiser.network.said, torch.randn(500, 1, 4, 4, dtype=torch.float64)
    objective = Reconstruction(adversarial=share)
    for _ in range(60):
        loss = objective.at(denoiser, x_0, 1.0, Streams.of(1, len(x_0))).mean()
        said.data -= 8.0 * torch.autograd.grad(loss, said)[0]
    least = (x_0 - x_0.mean(0)).square().mean()
    error = (x_0 - said).square().mean() / least
    bound = 1.0 / (1.0 - share**2)
    assert bound - 0.05 < error <= bound + 1e-9


def test_a_codebook_decodes_the_nearest_entry_and_hands_its_gradient_on():
    torch.manual_seed(0)
    network = VQVAE((1, 8, 8), **SIZES, entries=16).double()
    z = torch.randn(4, 3, 4, 4, dtype=torch.float64, requires_grad=True)
    tokens = network.tokens(z)
    flat = z.detach().movedim(1, -1).reshape(-1, 3)
    far = torch.stack([((flat - entry) ** 2).sum(1) for entry in network.codebook.detach()], 1)
    assert torch.equal(tokens.flatten(), far.argmin(1))
    entry = network.entry(tokens).detach()
    torch.testing.assert_close(network.decode(z), network.decode(entry))  # its own nearest
    aside = entry.clone().requires_grad_(True)
    slopes = [torch.autograd.grad(network.decode(x).square().sum(), x)[0] for x in (z, aside)]
    torch.testing.assert_close(*slopes)


def test_what_moves_one_entry_of_a_codebook_moves_all():
    """By a step for z whose nearest entry is e_k all go the way of b, e_j (1 + c_j·c_k) times."""
    torch.manual_seed(0)
    network = VQVAE((1, 8, 8), **SIZES, entries=16).double()
    z = torch.full((2, 3, 4, 4), 9.0, dtype=torch.float64)
    (k,) = network.tokens(z).unique().tolist()
    before = network.codebook.detach().clone()
    network.strain(z).sum().backward()
    with torch.no_grad():
        for weight in network.spread.parameters():
            weight -= 0.01 * weight.grad
    shares = 1.0 + network.seeds @ network.seeds[k]
    moved = network.codebook - before
    torch.testing.assert_close(moved, shares.unsqueeze(1) * network.spread.bias)
    assert (network.spread.bias > 0.0).all()  # towards z


@pytest.mark.parametrize("kind", [VAE, VQVAE])
@pytest.mark.parametrize("shape", [(1, 8, 8), (2, 9, 13)])
def test_latents_are_measured_and_keep_the_places_of_the_data(kind, shape):
    torch.manual_seed(0)
    network, data = kind(shape, width=8, multipliers=(1, 2, 2), latent=3), pictures(64, shape)
    codec = Latent(Range().fit([data], 17), network)
    x_0 = codec.fit(data.split(20), 17).encode(data)
    assert tuple(x_0.shape[1:]) == codec.event(shape)
    each = x_0.transpose(0, 1).flatten(1)
    torch.testing.assert_close(each.mean(1), torch.zeros(3), rtol=0, atol=1e-5)
    torch.testing.assert_close(each.std(1, correction=0), torch.ones(3), rtol=0, atol=1e-4)
    back, z = codec.decode(x_0), network.encode(codec.inner.encode(data))[0]
    assert torch.equal(back, codec.inner.decode(network.decode(z)))
    assert torch.equal(back, (back * 16).round() / 16)
    known = torch.ones(1, 1, *shape[1:], dtype=torch.bool)
    known[..., 3, 4] = False
    unknown = (~codec.places(known)).nonzero().tolist()
    assert unknown == [[0, 0, 0, 1]]  # the one latent that stands for rows 0-3, columns 4-7
    assert codec.places(known).shape[2:] == x_0.shape[2:]


def test_a_latent_run_keeps_its_autoencoder_and_needs_no_other_folder(source, first, tmp_path):
    moved = first.rename(tmp_path / "first")
    try:
        torch.manual_seed(0)
        taken = Taken.of(moved)
        system = systems.ldm((1, 8, 8), source.classes, taken, SMALL, chain=50, walked=3)
        trained = train(system, source, tmp_path / "second", **SHORT, steps=3)
        before = load(moved).denoiser.network.state_dict()
        after = trained.codec.autoencoder.state_dict()
        assert all(torch.equal(before[name], after[name]) for name in before)  # it learns no more
        assert "weights" not in Run(tmp_path / "second").record["arguments"]["autoencoder"]
        drawn = trained.sample(3, seed=2)
    finally:
        moved.rename(first)
    assert torch.equal(load(tmp_path / "second").sample(3, seed=2), drawn)
    assert drawn.shape == (3, 1, 8, 8)


def test_known_pixels_come_back_from_a_latent_run(source, first):
    torch.manual_seed(0)
    system = systems.ldm((1, 8, 8), (), Taken.of(first), SMALL, chain=50, walked=4)
    system.codec.fit([source.images])
    mask = torch.zeros(1, 1, 8, 8, dtype=torch.bool)
    mask[..., 2:5, 3:6] = True
    picture = source.images[:1]
    drawn = answers(system, question(system, "inpaint", picture, mask), 2, seed=1, grid=4)
    assert torch.equal(drawn[:, :, ~mask[0, 0]], picture[:, :, ~mask[0, 0]].expand(2, -1, -1))
    assert not torch.equal(drawn[0], drawn[1])
    with pytest.raises(UserError, match="draws latents"):
        question(system, "upscale", picture)


def test_what_latents_cannot_say_is_refused(source, first):
    system = systems.ldm((1, 8, 8), (), Taken.of(first), SMALL, chain=50)
    for one in (system, load(first)):
        with pytest.raises(UserError, match="no likelihood"):
            likelihood(one, source)
    with pytest.raises(UserError, match="no bits"):
        system.codec.log_det((1, 8, 8))
    with pytest.raises(UserError, match="hush train autoencoder"):
        systems.ldm((1, 8, 8))
    with pytest.raises(UserError, match="pictures \\(1, 8, 8\\), the data are \\(3, 8, 8\\)"):
        systems.ldm((3, 8, 8), autoencoder=Taken.of(first))
    other = Taken("ddpm", {"shape": [1, 8, 8], "backbone": {"width": 8, "multipliers": [1]}})
    with pytest.raises(UserError, match="one of ddpm"):
        systems.ldm((1, 8, 8), autoencoder=other)


def test_reports_show_pictures_above_what_is_left_of_them(first):
    assert [file.name for file in (first / "samples").iterdir()] == ["step-000000006.png"]
