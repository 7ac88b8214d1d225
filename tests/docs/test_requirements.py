"""docs/requirements.md says what the tests carry."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

_FILE = Path(__file__).with_name("requirements_table.py")


def table() -> Any:
    spec = importlib.util.spec_from_file_location("requirements_table", _FILE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_is_what_the_tests_carry() -> None:
    made = table()
    assert made.PAGE.read_text(encoding="utf-8") == made.page(), f"run python {_FILE.name}"


def test_every_number_is_one_of_the_plan() -> None:
    made = table()
    assert set(made.found()) <= set(made.NUMBERS)
