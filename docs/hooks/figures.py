"""Figures: a page's Python is run as the site is built, and what a block with a title draws is put
below it, in colours that are legible on light and on dark."""

import html
import io
import os
import re
import tempfile
from functools import cache
from typing import Any

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import torch
from blocks import FENCE, Block, block, blocks

INK = "#010203"  # stands for the page's own text colour
STYLE = {
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.prop_cycle": matplotlib.cycler(
        color=["#3f7fdd", "#e0663c", "#2a9d6f", "#a05fd0", "#c08a1e", "#d0507f"]
    ),
    "axes.spines.right": False,
    "axes.spines.top": False,
    "figure.constrained_layout.use": True,
    "figure.figsize": (7.2, 2.9),
    "font.size": 10.5,
    "legend.frameon": False,
    "savefig.transparent": True,
    "svg.fonttype": "path",
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
}


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Run the page's Python and leave a mark for each figure."""
    found = blocks(markdown)
    if not any(block.title for block in found):
        return markdown
    python = tuple((part.text, part.title is not None) for part in found if part.kind == "python")
    figures = iter(drawn(page.file.src_uri.replace(".zh.", "."), python))

    def mark(found: re.Match) -> str:
        part: Block = block(found)
        if part.title is None:
            return found[0]
        page.meta.setdefault("figures", []).append((part.title, next(figures)))
        place = len(page.meta["figures"]) - 1
        return f'```python\n{part.text}```\n\n<figure data-drawn="{place}"></figure>\n'

    return FENCE.sub(mark, markdown)


def on_page_content(content: str, page: Any, **_: Any) -> str:
    """Put the figures where their marks are."""
    for place, (title, svg) in enumerate(page.meta.get("figures", [])):
        said = html.escape(title)
        svg = svg.replace("<svg ", f'<svg role="img" aria-label="{said}" ', 1)
        whole = f'<figure class="drawn">{svg}<figcaption>{said}</figcaption></figure>'
        content = content.replace(f'<figure data-drawn="{place}"></figure>', whole)
    return content


@cache
def drawn(name: str, python: tuple[tuple[str, bool], ...]) -> tuple[str, ...]:
    """The drawings of a page: its blocks are run in order, once for all languages."""
    figures, names, before = [], {"__name__": name}, os.getcwd()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder, matplotlib.rc_context(STYLE):
        os.chdir(folder)
        try:
            for text, draws in python:
                exec(compile(text, name, "exec"), names)
                if draws:
                    figures.append(svg(f"{re.sub('[^a-z]', '', name)}{len(figures)}"))
        finally:
            os.chdir(before)
            plt.close("all")
    return tuple(figures)


def svg(prefix: str) -> str:
    """The current figure as SVG, its names its own; it is closed."""
    file = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": prefix}):
        plt.savefig(file, format="svg", metadata={"Date": None})
    plt.close("all")
    text = file.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r'\b(id="|href="#|url\(#)', rf"\g<1>{prefix}-", text)
    return text.replace(INK, "currentColor").replace("\n", " ")
