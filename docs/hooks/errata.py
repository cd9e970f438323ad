"""Numbers of errata become links to their rows."""

import re
from typing import Any

NUMBER = re.compile(r"(?<![\w\[])E(\d\d)(?=[),;:、）：；，]|$)", re.MULTILINE)
ROW = re.compile(r"^\| E(\d\d) \|", re.MULTILINE)


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Link the numbers of the theory, and give the rows their names."""
    place = page.file.src_uri
    if place.startswith("theory/errata."):
        return ROW.sub(r'| <span id="e\1"></span>E\1 |', markdown)
    return (
        NUMBER.sub(r"[E\1](errata.md#e\1)", markdown) if place.startswith("theory/") else markdown
    )
