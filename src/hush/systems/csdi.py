"""Gaps in series, told by attention along time and between channels."""

from torch import nn

from hush.codecs import PerChannel
from hush.denoisers import GaussianDenoiser
from hush.networks.two_axis import TwoAxis
from hush.objectives import Denoising
from hush.processes import GaussianProcess
from hush.samplers import Ancestral
from hush.samplers.grids import Chain
from hush.schedules import Tabulated, quadratic_betas
from hush.system import Recipe, System, cited
from hush.systems.predicted import PREDICTED, Predicted
from hush.tasks.series import Hide, Impute


@cited(
    "Tashiro et al. 2021, CSDI: conditional score-based diffusion models for probabilistic time "
    "series imputation, arXiv:2107.03502"
)
def csdi(
    shape: tuple[int, ...],
    features: int = 0,
    horizon: int = 0,
    hide: Hide | None = None,
    width: int = 64,
    depth: int = 4,
    heads: int = 8,
    dropout: float = 0.1,
    chain: int = 50,
    beta_first: float = 1e-4,
    beta_last: float = 0.5,
    predict: Predicted = "noise",
    recipe: Recipe = Recipe(steps=100_000, batch=16, learning_rate=1e-3, warmup=0, decay="cosine"),
) -> System:
    """CSDI: the noise of what is hidden predicted from what is known, which stays clean:
    E ‖ε - ε_θ(x_t, known, t)‖² where a known value was hidden. Any gaps are filled, and what lies
    ahead is one.

    Args:
        shape: of one window, (channel, length).
        features: covariates that are told at every stamp.
        horizon: stamps at the end of a window that are to be told from the others.
        hide: what training hides: random, historical, mix, blackout, stretches or forecast; by
            default forecast where there is a horizon, else mix.
        width: channels of the network.
        depth: layers along time and between channels.
        heads: of their attention.
        dropout: share of activations dropped in training.
        chain: T, steps of the chain, whose √β_t rise evenly.
        beta_first: β_1.
        beta_last: β_T.
        predict: what the network says: the noise, or v = α ε - σ x_0 with its own loss, which is
            learnt sooner where the noise is loud.
        recipe: how it is trained.
    """
    network = TwoAxis(shape[0], width, depth, heads, features, dropout=dropout)
    schedule = Tabulated(quadratic_betas(chain, beta_first, beta_last))
    return told(Impute.of(shape, features, horizon, hide), network, schedule, recipe, predict)


def told(
    task: Impute,
    network: nn.Module,
    schedule: Tabulated,
    recipe: Recipe,
    predict: Predicted = "noise",
) -> System:
    """The slots of a chain over series whose network is told what is known of them."""
    says, weight = PREDICTED[predict]
    return System(
        codec=PerChannel(task.shape[0], task.features),
        denoiser=GaussianDenoiser(GaussianProcess(schedule), network, says),
        objective=Denoising(weight, cond_dropout=0.0),
        sampler=Ancestral(),
        grid=Chain(schedule.steps),
        task=task,
        recipe=recipe,
    )
