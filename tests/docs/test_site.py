"""The documentation builds as a site, with no broken link, and shows every public name."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import floe_ingest
from floe_ingest_hookspecs import specs

ROOT = Path(__file__).resolve().parents[2]
UNDOCUMENTED = {"__version__", "hookimpl"}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--quiet", "--strict", "--site-dir", str(folder)],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_every_page_is_there(site: Path) -> None:
    for page in (ROOT / "docs").rglob("*.md"):
        assert (site / page.relative_to(ROOT / "docs").with_suffix("") / "index.html").is_file(), page
    assert "Exactly once" in (site / "index.html").read_text(encoding="utf-8")


def test_the_reference_has_every_public_name(site: Path) -> None:
    pages = "".join(page.read_text(encoding="utf-8") for page in (site / "reference").rglob("index.html"))
    shown = {name.rpartition(".")[2] for name in re.findall(r'<h\d id="([\w.]+)"', pages)}
    assert set(floe_ingest.__all__) - UNDOCUMENTED - shown == set()
    assert {name for name in vars(specs) if name.startswith("floe_ingest_")} <= shown


def test_links_to_the_repository_lead_somewhere(site: Path) -> None:
    pages = "".join(page.read_text(encoding="utf-8") for page in site.rglob("*.html"))
    linked = set(re.findall(r"https://github\.com/floe-data/floe-ingest/(?:blob|tree)/main/([^\"#]+)", pages))
    assert "LICENSE" in linked
    assert [path for path in sorted(linked) if not (ROOT / path).exists()] == []


def test_nothing_is_asked_of_another_host(site: Path) -> None:
    """A reader's browser loads the site alone."""
    for page in site.rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        assert re.findall(r'<(?:script|img|iframe)[^>]+src="(?:https?:)?//', text) == [], page
        assert (
            re.findall(r'<link[^>]+rel="(?:stylesheet|preconnect)"[^>]+href="(?:https?:)?//', text) == []
        ), page
