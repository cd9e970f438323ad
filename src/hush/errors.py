"""The one exception that a person is meant to read."""

import difflib
from collections.abc import Iterable


class UserError(Exception):
    """Something a user can mend: the message names the file or argument, what was got, what was
    expected and what to do. The command line prints it as one sentence, without a traceback."""


class Elsewhere(UserError):
    """An error that another process of the same run tells of: the command line says nothing."""


def nearest(name: str, known: Iterable[str]) -> str:
    """A hint for a misspelt name: the closest known one if there is one, else all of them.

    >>> nearest("dppm", ["ddpm", "edm"])
    'did you mean ddpm?'
    """
    known = sorted(known)
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f"did you mean {close[0]}?" if close else f"known are {', '.join(known)}."
