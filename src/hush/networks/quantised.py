"""An autoencoder whose latents are entries of a codebook: data as few tokens."""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from hush.errors import UserError
from hush.networks.autoencoder import LEAST, VAE, Answer, Data, Latent

Tokens = Int64[Tensor, " batch *place"]

COMMITMENT = 0.25  # β: how much the encoder moves towards the codebook, to the codebook's 1


class VQVAE(VAE):
    """A `VAE` that decodes, in place of each vector z of `latent` numbers, the nearest of `entries`
    learnt ones, e_k, k = argmin ‖z - e_k‖²; the gradient of e_k is handed on to z.

    The entries are e_k = W c_k + b, with c_k ~ N(0, I) that stay as they are: what moves one moves
    all, e_j (1 + c_j·c_k) times as far as b, so that none stays where no z ever comes (Zhu et al.
    2024, "Addressing representation collapse in vector quantized models with one linear layer").
    q(z | x) is a point, before it is replaced: that is what a diffusion in its latents learns, and
    the decoder replaces (Rombach et al. 2022, "High-resolution image synthesis with latent
    diffusion models", section 3.1). Van den Oord, Vinyals and Kavukcuoglu 2017, "Neural discrete
    representation learning".
    """

    _heads = 1

    def __init__(
        self,
        shape: tuple[int, ...],
        width: int = 64,
        multipliers: Sequence[int] = (1, 2, 2),
        latent: int = 4,
        blocks: int = 1,
        entries: int = 512,
    ) -> None:
        if entries < 2:
            raise UserError(f"A codebook needs at least 2 entries, got {entries}.")
        super().__init__(shape, width, multipliers, latent, blocks)
        self.register_buffer("seeds", torch.randn(entries, latent))
        self.spread = nn.Linear(latent, latent)
        nn.init.eye_(self.spread.weight)
        nn.init.zeros_(self.spread.bias)

    @property
    def codebook(self) -> Float[Tensor, "entry latent"]:
        """The entries, one in each row."""
        return self.spread(self.seeds)

    def encode(self, x: Data) -> tuple[Latent, Latent]:
        z = self.encoder(x.to(self.log_variance.dtype))
        return z, torch.full_like(z, LEAST)

    def decode(self, z: Latent) -> Answer:
        return super().decode(z + (self.entry(self.tokens(z)) - z).detach())

    def tokens(self, z: Latent) -> Tokens:
        """The number of the entry nearest to each vector of z."""
        flat = z.movedim(1, -1).flatten(0, -2)
        return torch.cdist(flat, self.codebook).argmin(1).unflatten(0, (len(z), *z.shape[2:]))

    def entry(self, tokens: Tokens) -> Latent:
        """The entries of these numbers, as a z."""
        return self.codebook[tokens].movedim(-1, 1)

    def strain(self, z: Latent) -> Float[Tensor, " batch"]:
        """‖sg(z) - e‖² + β ‖z - sg(e)‖², the mean over elements: the codebook goes to z, and z
        stays near it."""
        e = self.entry(self.tokens(z))
        near = (z.detach() - e) ** 2 + COMMITMENT * (z - e.detach()) ** 2
        return near.flatten(1).mean(1)
