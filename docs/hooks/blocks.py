"""The code of a page: its blocks, as the site draws and the tests run them."""

import re
from typing import NamedTuple

FENCE = re.compile(r"^```(python|console)([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
TITLE = re.compile(r'figure="([^"]*)"')


class Block(NamedTuple):
    """A fenced block: `python` or `console`, its text, and the title of what it draws, if any."""

    kind: str
    text: str
    title: str | None


def blocks(page: str) -> list[Block]:
    """Those of a page, in order."""
    return [block(found) for found in FENCE.finditer(page)]


def block(found: re.Match) -> Block:
    """What the pattern found."""
    kind, says, text = found.groups()
    title = TITLE.search(says)
    return Block(kind, text, title and title[1])
