"""docs/security.md names tests that are there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
NAMED = re.findall(r"^- `(tests/[\w/]+\.py)(?:::(\w+))?`$", TEXT, re.MULTILINE)


@pytest.mark.parametrize(("file", "test"), NAMED)
def test_a_named_test_is_there(file: str, test: str) -> None:
    text = (ROOT / file).read_text(encoding="utf-8")
    assert re.search(rf"^ *def {test or 'test_'}", text, re.MULTILINE)


def test_every_claim_has_a_test() -> None:
    """Each section names one, but that about dependencies, which says that nothing is shown."""
    without = [part for part in TEXT.split("\n## ")[1:] if not re.search("^- `tests/", part, re.MULTILINE)]
    assert [part.splitlines()[0] for part in without] == ["Dependencies"]
