"""Long gaps in series, told by state spaces."""

from hush.networks.structured import Structured
from hush.schedules import Tabulated
from hush.system import Recipe, System, cited
from hush.systems.csdi import told
from hush.systems.predicted import Predicted
from hush.tasks.series import Hide, Impute


@cited(
    "Alcaraz, Strodthoff 2023, Diffusion-based time series imputation and forecasting with "
    "structured state space models, arXiv:2208.09399"
)
def sssd(
    shape: tuple[int, ...],
    features: int = 0,
    horizon: int = 0,
    hide: Hide | None = None,
    width: int = 256,
    depth: int = 36,
    states: int = 64,
    dropout: float = 0.0,
    chain: int = 200,
    beta_first: float = 2e-5,
    beta_last: float = 4e-3,
    predict: Predicted = "noise",
    recipe: Recipe = Recipe(steps=150_000, batch=16, learning_rate=2e-4, warmup=0),
) -> System:
    """SSSD: the noise of what is hidden predicted from what is known, as by CSDI, with structured
    state spaces in place of attention, which reach over long windows at little cost. Stamps are
    taken to be evenly spaced.

    What is known enters the network clean, in training and in use (the authors' code scales it by
    √ᾱ + √(1-ᾱ) in training alone).

    Args:
        shape: of one window, (channel, length).
        features: covariates that are told at every stamp.
        horizon: stamps at the end of a window that are to be told from the others.
        hide: what training hides: random, historical, mix, blackout, stretches or forecast; by
            default forecast where there is a horizon, else mix.
        width: channels of the network.
        depth: blocks, of two state spaces each.
        states: of each state space, for every channel.
        dropout: share of activations dropped in training.
        chain: T, steps of the chain.
        beta_first: β_1 of a chain of 1000 steps (scaled by 1000/T for others).
        beta_last: β_T, likewise. The paper's chain ends at ᾱ_T = .13, though walks begin without
            any signal; three times as much ends at ᾱ_T = .002, where v tells more than noise.
        predict: what the network says: the noise, or v = α ε - σ x_0 with its own loss.
        recipe: how it is trained.
    """
    network = Structured(shape[0], width, depth, states, features, dropout=dropout)
    schedule = Tabulated.linear(chain, beta_first, beta_last)
    return told(Impute.of(shape, features, horizon, hide), network, schedule, recipe, predict)
