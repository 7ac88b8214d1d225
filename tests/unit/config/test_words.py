"""The small pieces that messages are made of."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from floe_ingest.config.locations import show_location
from floe_ingest.config.words import did_you_mean, kind_of, nearest, one_of


def test_lists_of_words() -> None:
    assert one_of([]) == ""
    assert one_of(["a"]) == "a"
    assert one_of(["a", "b", "c"]) == "a, b or c"
    assert one_of(["a", "b"], "and") == "a and b"
    assert one_of([f"k{index}" for index in range(30)]).endswith("k24 and 5 more")


def test_the_nearest_word() -> None:
    assert nearest("Tabels", ["table", "tables", "query"]) == "tables"
    assert nearest("MERGE", ["append", "merge"]) == "merge"
    assert did_you_mean("zzz", ["append", "merge"]) == ""


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, "nothing"),
        (True, "true or false"),
        ("x", "text"),
        (1.5, "a number"),
        ((1,), "a list"),
        ({}, "a mapping"),
        (date(2024, 1, 2), "a date"),
    ],
)
def test_kinds_of_values(value: Any, words: str) -> None:
    assert kind_of(value) == words


def test_locations_are_written_as_people_write_them() -> None:
    assert show_location(()) == ""
    assert show_location(("sources", 1, "resources", "a.b-c", "x")) == "sources[1].resources.a.b-c.x"
    assert show_location(("a", "password=hunter2")) == 'a."password…"'
    assert show_location(("a", "k" * 100)) == f'a."{"k" * 80}…"'
