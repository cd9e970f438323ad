"""Pages that are made as the site is built: the systems, the reference, measured results, and the
source files that other pages show."""

from pathlib import Path
from typing import Any

import reference
import systems
from mkdocs.plugins import CombinedEvent, event_priority
from mkdocs.structure.files import File, Files
from proofs import ROOT, named, shown_at

RESULTS = ROOT / "benchmarks" / "results"
HIDDEN = "---\nsearch:\n  exclude: true\n---\n\n"


def pages(docs: Path, language: str) -> dict[str, str | bytes]:
    """What is made, by its place in the site. The reference and the source are there once: from the
    Chinese pages one comes to the English."""
    known = reference.pages() if language == "en" else reference.elsewhere()
    made: dict[str, str | bytes] = {**systems.pages(), **known}
    for path in sorted(RESULTS.iterdir()):
        made[f"results/{path.name}"] = (
            path.read_text() if path.suffix == ".md" else path.read_bytes()
        )
    if language != "en":
        return made
    texts = [page.read_text() for page in docs.rglob("*.md")]
    texts += [text for text in made.values() if isinstance(text, str)]
    for file in sorted(set().union(*map(named, texts))):
        code = (ROOT / file).read_text()
        made[shown_at(file)] = f'{HIDDEN}# {file}\n\n````python linenums="1"\n{code}````\n'
    return made


@event_priority(100)
def _add(files: Files, config: Any, **_: Any) -> Files:
    for place in pages(Path(config.docs_dir), config.plugins["i18n"].current_language):
        files.append(File(place, config.docs_dir, config.site_dir, config.use_directory_urls))
    return files


@event_priority(-200)
def _keep(files: Files, config: Any, **_: Any) -> Files:
    """Give them their content, after the plugin of languages has made every file anew."""
    made = pages(Path(config.docs_dir), config.plugins["i18n"].current_language)
    for file in files:
        content = made.get(file.src_uri)
        if isinstance(content, bytes):
            file.content_bytes = content
        elif content is not None:
            file.content_string = content
    return files


on_files = CombinedEvent(_add, _keep)


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """In the repository results lie beside docs/, on the site within."""
    return markdown.replace("](../benchmarks/results/", "](results/")
