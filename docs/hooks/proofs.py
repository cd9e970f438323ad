"""Each equation beside the line of code that is it, and the test that proves it.

    ::: code hush.processes.gaussian:GaussianProcess.marginal "level.alpha"
    ::: test tests/test_processes.py::test_transition_is_one_step_of_the_chain

become the code itself, taken from the source as the site is built, with the lines marked that hold
the words in quotes, and a link to the test. The build fails where a name or the words are gone.
"""

import ast
import importlib
import inspect
import posixpath
import re
import textwrap
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).parents[2]
CODE = re.compile(r'^::: code (\S+?):(\S+)((?: "[^"]*")*)$', re.MULTILINE)
TEST = re.compile(r"^::: test (\S+?)::(\w+)$", re.MULTILINE)
TESTS = re.compile(r"(?:^::: test \S+\n?)+", re.MULTILINE)
PROVED = {"en": "Proved by", "zh": "证明"}


class Piece(NamedTuple):
    """Some lines of a file."""

    file: str
    first: int
    lines: list[str]
    marked: list[int]


def on_page_markdown(markdown: str, page: Any, config: Any, **_: Any) -> str:
    """Write out what a page names."""
    language = config.plugins["i18n"].current_language
    # What shows a file is there once, beside the English pages.
    here = posixpath.join("zh" if language == "zh" else "", posixpath.dirname(page.file.src_uri))
    markdown = CODE.sub(lambda found: _shown(piece(*found.groups()), here), markdown)
    return TESTS.sub(lambda found: _proved(found[0], here, PROVED[language]), markdown)


def _shown(found: Piece, here: str) -> str:
    marked = f' hl_lines="{" ".join(map(str, found.marked))}"' if found.marked else ""
    code = "\n".join(found.lines)
    where = link(f"<code>{found.file}</code>", found.file, found.first, here)
    return f"{where}\n{{ .where }}\n\n```python{marked}\n{code}\n```\n"


def _proved(text: str, here: str, word: str) -> str:
    tests = [(file, name, line(file, name)) for file, name in TEST.findall(text)]
    links = [
        f"{link(name.removeprefix('test_').replace('_', ' '), file, at, here)} (`{file}`)"
        for file, name, at in tests
    ]
    return f"{word}: {'; '.join(links)}\n{{ .proof }}\n"


def link(words: str, file: str, line: int, here: str) -> str:
    """A link to a line of the page that shows a file."""
    place = posixpath.relpath(shown_at(file).replace(".md", ".html"), here or ".")
    return f'<a href="{place}#__codelineno-0-{line}">{words}</a>'


def shown_at(file: str) -> str:
    """The page that shows a file of the repository."""
    return "source/" + file.removeprefix("src/").removesuffix(".py") + ".md"


def named(text: str) -> set[str]:
    """The files that a page names."""
    return {piece(*found).file for found in CODE.findall(text)} | {
        file for file, _ in TEST.findall(text)
    }


@cache
def piece(module: str, name: str, words: str = "") -> Piece:
    """The lines of a function, method, property or class, without its docstring. Raises
    `LookupError` when there is none, or none of its lines holds the words."""
    found: Any = importlib.import_module(module)
    for part in name.split("."):
        if part not in vars(found) and not hasattr(found, part):
            raise LookupError(f"{module} has no {name}")
        found = vars(found).get(part, getattr(found, part, None))
    found = getattr(found, "fget", None) or getattr(found, "func", None) or found
    found = inspect.unwrap(getattr(found, "__func__", found))
    lines, first = inspect.getsourcelines(found)
    lines = textwrap.dedent("".join(lines)).splitlines()
    lines, marked = _undocumented(lines), []
    for wanted in re.findall(r'"([^"]*)"', words):
        holding = [place for place, line in enumerate(lines, start=1) if wanted in line]
        if not holding:
            raise LookupError(f"No line of {module}:{name} holds {wanted!r}")
        marked += holding
    file = Path(inspect.getsourcefile(found)).resolve().relative_to(ROOT)
    return Piece(file.as_posix(), first, lines, marked)


def _undocumented(lines: list[str]) -> list[str]:
    body = ast.parse("\n".join(lines)).body[0].body
    doc = body[0]
    if not (isinstance(doc, ast.Expr) and isinstance(doc.value, ast.Constant)) or len(body) == 1:
        return lines
    rest = lines[doc.end_lineno :]
    while rest and not rest[0].strip():
        rest = rest[1:]
    return lines[: doc.lineno - 1] + rest


def line(file: str, name: str) -> int:
    """Where a test begins. Raises `LookupError` when there is none."""
    found = re.search(rf"^def {name}\(", (ROOT / file).read_text(), re.MULTILINE)
    if not found:
        raise LookupError(f"{file} has no test {name}")
    return (ROOT / file).read_text()[: found.start()].count("\n") + 1
