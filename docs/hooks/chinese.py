"""Chinese prose: where a file breaks its lines, the page must have no space."""

import re
from typing import Any

CODE = re.compile(r"(^```.*?^```$)", re.MULTILINE | re.DOTALL)
BREAK = re.compile(
    r"(?<=[\u3000-\u303f\u4e00-\u9fff\uff00-\uffef])\n(?!\s|\||- |\d+\. |:::|```|#|>|\$\$|<|\{)"
)


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Join the lines of paragraphs."""
    if ".zh." not in page.file.src_uri:
        return markdown
    parts = CODE.split(markdown)
    return "".join(part if part.startswith("```") else BREAK.sub("", part) for part in parts)
