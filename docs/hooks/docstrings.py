"""Docstrings as Markdown: doctests become code, columns become lists, brackets are no links."""

import re
from typing import Any

import griffe

DOCTEST = re.compile(r"^(?P<indent> *)>>> .*\n(?:(?P=indent)\S.*(?:\n|\Z))*", re.MULTILINE)


ROW = re.compile(r"^(\S(?:.*?\S)?) {2,}(\S.*(?:\n {4,}\S.*)*)", re.MULTILINE)


class Docstrings(griffe.Extension):
    """Rewrites every docstring before it is rendered."""

    def on_instance(self, *, obj: griffe.Object, **_: Any) -> None:
        """Once for every module, class, function and attribute."""
        if obj.docstring:
            obj.docstring.value = markdown(obj.docstring.value)


def markdown(text: str) -> str:
    """A docstring as Markdown."""
    parts, end = [], 0
    for found in DOCTEST.finditer(text):
        indent, code = found["indent"], found[0].rstrip("\n")
        parts += [_plain(text[end : found.start()]), f"{indent}```pycon\n{code}\n{indent}```\n"]
        end = found.end()
    return "".join([*parts, _plain(text[end:])])


def _plain(text: str) -> str:
    text = re.sub(r"\]([(\[])", r"]\\\1", text)
    return "\n\n".join(map(_listed, text.split("\n\n")))


def _listed(paragraph: str) -> str:
    """A paragraph of two columns, a name and what it means, as a list."""
    if ROW.sub("", paragraph).strip():
        return paragraph
    return ROW.sub(lambda row: f"- `{row[1]}`: {' '.join(row[2].split())}", paragraph)
