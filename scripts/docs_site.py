"""What mkdocs calls while it builds the site: pages from outside ``docs/``, and links that fit the site.

The files stay as they read on a code host: README.md links to ``docs/operating.md``, and a page of ``docs/``
to ``../CONTRIBUTING.md``. On the site both are pages, and what is no page is a link to the repository.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import TYPE_CHECKING

from mkdocs.structure.files import File

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[1]
PAGES = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "examples/quickstart/README.md": "examples/quickstart.md",
    "examples/dagster/README.md": "examples/dagster.md",
    "examples/floe-ingest-icalendar/README.md": "examples/floe-ingest-icalendar.md",
}
"""Files of the repository that are pages too, with where they stand on the site."""

_FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"(?<=\]\()(?!\w+:|#)([^)#\s]+)(?=[#)])")
_COMMENT = re.compile(r"^<!-- not run: .*-->\n", re.MULTILINE)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages from outside ``docs/``."""
    for source, target in PAGES.items():
        text = (ROOT / source).read_text(encoding="utf-8")
        files.append(File.generated(config, target, content=site_text(text, source, config.repo_url or "")))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Make the links of a page of ``docs/`` fit the site."""
    if page.file.generated_by is not None:
        return markdown
    return site_text(markdown, f"docs/{page.file.src_uri}", config.repo_url or "")


def site_text(text: str, source: str, repository: str) -> str:
    """Return a page's text as it is on the site.

    Arguments:
        text: as it is in the repository.
        source: its file, from the root of the repository.
        repository: where files that are no pages can be read.
    """

    def linked(found: re.Match[str]) -> str:
        return site_link(found[1], source, repository)

    parts, at = [], 0
    for fence in _FENCE.finditer(text):
        parts += [_LINK.sub(linked, text[at : fence.start()]), fence[0]]
        at = fence.end()
    parts.append(_LINK.sub(linked, text[at:]))
    return _COMMENT.sub("", "".join(parts))


def site_link(target: str, source: str, repository: str) -> str:
    """Return where a link of a file leads on the site."""
    path = posixpath.normpath(posixpath.join(posixpath.dirname(source), target))
    page = PAGES.get(path, path.removeprefix("docs/") if path.startswith("docs/") else None)
    if page is None:
        kind = "tree" if (ROOT / path).is_dir() else "blob"
        return f"{repository}/{kind}/main/{path}"
    here = PAGES.get(source, source.removeprefix("docs/"))
    return posixpath.relpath(page, posixpath.dirname(here) or ".")
