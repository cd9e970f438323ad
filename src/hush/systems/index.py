"""The table of systems. A row names the function; it is imported only when it is wanted, so that
listing costs nothing."""

import importlib
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from hush.errors import UserError, nearest

if TYPE_CHECKING:
    from hush.system import System


class Row(NamedTuple):
    """A system at a glance."""

    data: str
    task: str
    says: str
    paper: str


class Use(NamedTuple):
    """What is done with a trained run, and nothing learnt for it but by the verb itself."""

    verb: str
    says: str
    paper: str


BOTH = "pictures, series"

TABLE = {
    "ddpm": Row(BOTH, "generate", "a chain of small noisings walked back", "Ho et al. 2020"),
    "ddim": Row(BOTH, "generate", "the same in few deterministic steps", "Song et al. 2021"),
    "improved_ddpm": Row(
        "pictures", "generate", "the cosine chain, its variances learned", "Nichol, Dhariwal 2021"
    ),
    "analytic_dpm": Row(
        "pictures", "generate", "a run told again with the best variances", "Bao et al. 2022"
    ),
    "ncsn": Row(
        "pictures",
        "generate",
        "scores of ten noise levels, then Langevin",
        "Song, Ermon 2019",
    ),
    "score_sde": Row(BOTH, "generate", "the reverse SDE, corrected as it goes", "Song et al. 2021"),
    "scoreflow": Row(
        "pictures", "generate", "a score trained on the likelihood's bound", "Song et al. 2021"
    ),
    "vdm": Row("pictures", "generate", "network and schedule on the bound", "Kingma et al. 2021"),
    "d3pm": Row(
        "pictures", "generate", "pixels as tokens, walked back by Bayes' rule", "Austin et al. 2021"
    ),
    "ardm": Row(
        "pictures", "generate", "pixels shown in any order, few at a time", "Hoogeboom et al. 2022"
    ),
    "energy": Row("pictures", "generate", "a density whose gradient denoises", "Salimans, Ho 2021"),
    "edm": Row(BOTH, "generate", "preconditioned, Heun in 18 steps", "Karras et al. 2022"),
    "rectified_flow": Row(
        BOTH, "generate", "a straight line from noise to data", "Liu et al. 2023"
    ),
    "sr3": Row("pictures", "upscale", "a larger picture, drawn", "Saharia et al. 2021"),
    "srdiff": Row("pictures", "upscale", "what a small picture does not show", "Li et al. 2022"),
    "anoddpm": Row(
        "pictures", "detect", "noise that hides what is large, for anomalies", "Wyatt et al. 2022"
    ),
    "cascade": Row("pictures", "upscale", "a stage that doubts what it is given", "Ho et al. 2022"),
    "ddep": Row("pictures", "segment", "a decoder of one noise level", "Brempong et al. 2022"),
    "cmde": Row("pictures", "upscale", "both noised, at two speeds", "Batzolis et al. 2021"),
    "autoencoder": Row(
        "pictures", "compress", "few numbers for each place, and back", "Rombach et al. 2022"
    ),
    "ldm": Row(
        "pictures", "generate", "a chain in an autoencoder's latents", "Rombach et al. 2022"
    ),
    "palette": Row(
        "pictures", "restore", "colours, holes, edges, JPEG by one model", "Saharia et al. 2022"
    ),
    "csdi": Row("series", "impute", "gaps, from all that is known", "Tashiro et al. 2021"),
    "sssd": Row("series", "impute", "long gaps, by state spaces", "Alcaraz, Strodthoff 2023"),
    "csde": Row("series", "impute", "a path steered through what is known", "Park et al. 2022"),
    "timegrad": Row("series", "forecast", "stamp by stamp, from a memory", "Rasul et al. 2021"),
}


USES = {
    "repaint": Use("hush inpaint", "what is known put back at every step", "Lugmayr et al. 2022"),
    "blended": Use(
        "hush inpaint --text", "a region towards a class or a text", "Avrahami et al. 2022"
    ),
    "ddpm_features": Use(
        "hush segment", "pixels told apart by the network's features", "Baranchuk et al. 2022"
    ),
    "ddpm_cd": Use("hush compare", "change, by the features of both dates", "Bandara et al. 2022"),
    "stretches": Use(
        "hush detect",
        "series told block by block, otherwise than they are",
        "after Chen et al. 2023",
    ),
    "diffpure": Use("hush purify", "an attack drowned in noise", "Nie et al. 2022"),
    "threat_agnostic": Use(
        "hush purify --by deterministic", "the same, walked back without noise", "Blau et al. 2022"
    ),
    "adp": Use("hush purify --by adaptive", "steps along the score", "Yoon et al. 2021"),
    "gdmp": Use("hush purify --by guided", "held near the picture", "Wang et al. 2022"),
}


def find(name: str) -> Callable:
    """The function of a system, `hush.systems.<name>`; a misspelt name gets the nearest one."""
    if name in USES:
        raise UserError(
            f"{name} is not trained: it is a use of any trained run of such data, {USES[name].verb}"
            " RUN."
        )
    if name not in TABLE:
        raise UserError(f"There is no system {name!r}: {nearest(name, TABLE)}")
    return getattr(importlib.import_module(f"hush.systems.{name}"), name)


def load(path: str | os.PathLike[str], average: bool = True) -> "System":
    """The system of a run folder with its trained weights, ready to sample from: the averaged ones,
    or with `average=False` the last. Raises `UserError` for a folder that is not a whole run."""
    from hush.system import rebuilt
    from hush.training.run import Run
    from hush.training.stored import Stored, load_into, no_larger

    run, name = Run(path), "ema" if average else "model"
    record = run.record
    try:
        with no_larger(Stored(run.path, name)):
            system = rebuilt(find(record["name"]), record["arguments"])
    except UserError as error:
        raise UserError(f"{run.path} cannot be loaded. {error}") from error
    load_into(system.denoiser, system.codec, run.path, name)
    return system
