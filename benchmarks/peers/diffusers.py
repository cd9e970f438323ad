"""Every deterministic scheduler of diffusers, with each spacing and option that bears on its error.

Left out: what draws noise, what needs a distilled network (LCM, TCD, consistency models), and
Euler or DDIM under another name.
"""

from collections.abc import Iterator
from functools import partial

from peers.diffusers_options import Family, families
from peers.diffusers_walk import ANGLE, EDM, FLOW, Options, chain, walked
from peers.settings import Setting


def settings(problem: str) -> Iterator[Setting]:
    """All of them, for one problem."""
    for family in families(problem):
        fixed = {} if family.kind in (ANGLE, EDM, FLOW) else chain(problem)
        for words, chosen in family.choices:
            yield _setting(family, words, fixed | family.always | chosen)


def _setting(family: Family, words: str, options: Options) -> Setting:
    walk = partial(walked, family.name, options, family.kind, family.count, family.spends)
    method = family.name.removesuffix("Scheduler")
    return Setting("diffusers", method, words, walk, words == "defaults")
