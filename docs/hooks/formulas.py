"""Formulas: TeX becomes MathML as the site is built, so that no script is needed to show them."""

import html
import re
from functools import cache
from typing import Any

from latex2mathml.converter import convert

INLINE = re.compile(r'<span class="arithmatex">\\\((.*?)\\\)</span>', re.DOTALL)
BLOCK = re.compile(r'<div class="arithmatex">\s*\\\[(.*?)\\\]\s*</div>', re.DOTALL)
# A named function before what it is applied to; with an index of its own it is left alone.
SPACED = re.compile(
    r"(?<!<msup>)(?<!<msub>)(?<!<munder>)(<m[io]>(?:log|exp|cos|sin|det)</m[io]>)(?!<mo)"
)


def on_page_content(content: str, page: Any, **_: Any) -> str:
    """Convert every formula of a page."""
    where = page.file.src_uri
    content = BLOCK.sub(lambda found: _whole(found[1], where), content)
    return INLINE.sub(lambda found: mathml(found[1], "inline", where), content)


def _whole(tex: str, where: str) -> str:
    return f'<div class="formula">{mathml(tex, "block", where)}</div>'


@cache
def mathml(tex: str, display: str, where: str = "") -> str:
    """One formula. Raises `ValueError` for what no reader should see: a command left over."""
    tex = html.unescape(tex).strip().replace("aligned}", "align*}")
    text = convert(tex, display=display)
    if left := re.search(r"\\[a-zA-Z]+", text):
        raise ValueError(f"{where}: {left[0]} is not known, in {tex}")
    # Thin spaces after named functions, accents close to their letters; what MathML Core knows.
    text = SPACED.sub(r'\1<mspace width="0.17em"/>', text)
    text = text.replace('<mspace width="negativethinmathspace" />', "")
    text = re.sub(
        r'<mover>(<mi>[^<]*</mi>)<mo stretchy="(?:true|false)">(&#x000AF;|&#x0007E;)</mo></mover>',
        r'<mover accent="true">\1<mo stretchy="false">\2</mo></mover>',
        text,
    )
    return text.replace("<mi>&</mi>", "")
