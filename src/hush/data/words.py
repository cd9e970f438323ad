"""What is said of files and errors in a message: one line, printable, whatever the names hold."""

import os


def shown(path: str | os.PathLike[str]) -> str:
    """A path that can be printed: what is no UTF-8, no letter and no sign becomes an escape.

    >>> shown("a\\nb.png")
    'a\\\\nb.png'
    """
    text = os.fsencode(path).decode("utf-8", "backslashreplace")
    return "".join(sign if sign.isprintable() else _escaped(sign) for sign in text)


def cause(error: BaseException) -> str:
    """The first line of the innermost reason: loaders wrap theirs in "an error occurred"."""
    while error.__cause__ is not None:
        error = error.__cause__
    if isinstance(error, OSError) and error.strerror:
        named = isinstance(error.filename, (str, bytes))
        return error.strerror.lower() + (f" ({shown(error.filename)})" if named else "")
    said = (str(error).strip().splitlines() or [""])[0].rstrip(". ")
    kind = type(error).__name__
    return f"{kind}: {shown(said)}" if said else kind


def _escaped(sign: str) -> str:
    return sign.encode("unicode_escape").decode("ascii")
