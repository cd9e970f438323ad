"""Every block of every page runs, the pages of both languages hold the same code, and whatever a
page names of the source and of the tests is there."""

import re
from pathlib import Path

import proofs
import pytest
import systems
from blocks import blocks
from snippets import brief, few, materials, run

from hush import data
from hush.systems import TABLE

DOCS = Path(__file__).parents[1] / "docs"
PAGES = {path.relative_to(DOCS).as_posix(): path.read_text() for path in DOCS.rglob("*.md")}
ENGLISH = [page for page in PAGES if ".zh." not in page]
CHINESE = [page for page in PAGES if ".zh." in page]
SHOWN = ("python", "console", "text", "bash", "yaml", "")  # what a fence may hold


@pytest.mark.parametrize("page", [page for page in ENGLISH if blocks(PAGES[page])])
def test_every_block_of_a_page_runs(page, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    digits = few(64)
    monkeypatch.setattr(data, "digits", lambda: digits)
    brief(monkeypatch)
    materials()
    names = {"__name__": page}
    for block in blocks(PAGES[page]):
        run(block, names, page)


@pytest.mark.slow
@pytest.mark.parametrize("name", TABLE)
def test_the_commands_of_a_system_run(name, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    brief(monkeypatch)
    materials()
    for block in blocks(systems.before(name) + systems.commands(name)):
        run(block, {}, name)


@pytest.mark.parametrize("page", CHINESE)
def test_both_languages_hold_the_same_code(page):
    english = PAGES[page.replace(".zh.", ".")]
    assert [block[:2] for block in blocks(PAGES[page])] == [block[:2] for block in blocks(english)]
    for pattern in (proofs.CODE, proofs.TEST):
        assert pattern.findall(PAGES[page]) == pattern.findall(english)


@pytest.mark.parametrize("page", [page for page in ENGLISH if "theory/" in page])
def test_the_theory_is_there_in_both_languages(page):
    assert page.replace(".md", ".zh.md") in CHINESE


@pytest.mark.parametrize("page", PAGES)
def test_what_a_page_names_is_there(page):
    for found in proofs.CODE.findall(PAGES[page]):
        assert proofs.piece(*found).lines
    for file, name in proofs.TEST.findall(PAGES[page]):
        assert proofs.line(file, name)


@pytest.mark.parametrize("page", PAGES)
def test_no_block_is_of_a_kind_that_is_not_run(page):
    opened = re.findall(r"^```(\w*).*\n(?:.*\n)*?```$", PAGES[page], re.MULTILINE)
    assert set(opened) <= set(SHOWN)


def test_a_name_that_is_gone_is_told():
    with pytest.raises(LookupError, match="has no"):
        proofs.piece("hush.rng", "Streams.gone")
    with pytest.raises(LookupError, match="holds"):
        proofs.piece("hush.rng", "Streams.of", ' "no such words"')
    with pytest.raises(LookupError, match="no test"):
        proofs.line("tests/test_pages.py", "test_gone")
