"""What a notebook, or a Python prompt, shows of things."""

import ast
import base64
import inspect
import io
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import hush
from hush.errors import UserError
from hush.systems.index import TABLE


class Page(HTMLParser):
    """Whether tags close, and what a page loads."""

    def __init__(self, text):
        super().__init__()
        self.open, self.sources, self.text = [], [], ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.sources += [value for name, value in attrs if name in ("src", "href")]
        if tag not in ("img", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data

    def pictures(self):
        heads, bodies = zip(*(one.split(",") for one in self.sources), strict=True)
        assert set(heads) == {"data:image/png;base64"}
        return [np.asarray(Image.open(io.BytesIO(base64.b64decode(one)))) for one in bodies]


def test_samples_are_shown_as_the_grid_that_is_saved():
    x = torch.randint(0, 256, (5, 3, 40, 40)) / 255
    page = Page(hush.show(x)._repr_html_())
    assert not page.open
    (found,) = page.pictures()
    wanted = (hush.data.grid(x) * 255).round().byte().permute(1, 2, 0).numpy()
    assert np.array_equal(found, wanted)
    assert repr(hush.show(x)) == page.text
    assert page.text.startswith("5 of 3x40x40, from ")


def test_of_many_the_first_are_shown_and_all_are_counted():
    x = torch.zeros(1000, 1, 64, 64)
    (found,) = Page(hush.show(x)._repr_html_()).pictures()
    assert found.size == hush.data.grid(x[:32]).numel()
    assert repr(hush.show(x)).startswith("1,000 of")


def test_series_are_shown_as_lines():
    x = torch.stack([torch.linspace(0, 1, 20), torch.zeros(20)])[:, None].repeat(1, 2, 1)
    (found,) = Page(hush.show(x)._repr_html_()).pictures()
    assert found.shape == (360, 800, 3)
    assert len(np.unique(found.reshape(-1, 3), axis=0)) > 3


@pytest.mark.parametrize("shape", [(4,), (0, 1, 8, 8), (2, 5, 8, 8), (2, 0, 3)])
def test_what_is_neither_is_refused(shape):
    with pytest.raises(UserError, match=r"pictures .* or series"):
        hush.show(torch.zeros(shape))


def test_data_show_their_summary_and_some_records():
    page = Page(hush.data.digits()._repr_html_())
    assert not page.open
    assert "1,797 pictures, 1x8x8, 17 grey levels, 10 classes" in page.text
    assert len(page.pictures()) == 1
    series = hush.data.series("elnino", length=36)
    assert "697 windows of 36 stamps" in Page(series._repr_html_()).text
    assert repr(series).startswith("elnino: 697 windows")


def test_names_of_files_and_classes_cannot_make_tags():
    bad = hush.data.InMemory(torch.zeros(2, 1, 4, 4), name="<script>alert(1)</script>")
    assert "<script" not in bad._repr_html_()


@pytest.mark.parametrize("name", ["ddpm", "d3pm", "cmde", "csdi", "timegrad", "energy"])
def test_systems_show_their_slots(name):
    shape = (2, 16) if "series" in TABLE[name].data and name != "ddpm" else (1, 8, 8)
    settings = {"levels": 17} if name == "d3pm" else {}
    settings |= {"horizon": 4} if name == "timegrad" else {}
    system = getattr(hush.systems, name)(shape, **settings)
    page = Page(system._repr_html_())
    assert not page.open
    for slot, value in system.slots().items():
        assert slot in page.text
        assert str(value) in repr(system)
    assert system.cite in page.text


def lazily(module):
    """The names a module tells type checkers of."""
    tree = ast.parse(Path(inspect.getfile(module)).read_text())
    blocks = [node for node in tree.body if isinstance(node, ast.If)]
    (checked,) = (node for node in blocks if ast.unparse(node.test) == "TYPE_CHECKING")
    return {alias.asname for node in checked.body for alias in node.names}


def test_type_checkers_see_every_name_that_is_there():
    assert lazily(hush) == set(hush.__all__)
    assert lazily(hush.systems) == set(TABLE)
