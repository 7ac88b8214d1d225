"""What values look like, and the type that holds them all unchanged."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from floe_ingest_sources.filesystem.text_types import TIMES, TextColumn

CASES = [
    (["1", "-2", None, "0"], "BIGINT"),
    (["1", "123456789012345678"], "BIGINT"),
    (["1", "-9223372036854775808", "9223372036854775807"], "BIGINT"),
    (["1", "9223372036854775808"], "DECIMAL(38,0)"),
    (["9" * 39], "VARCHAR"),
    (["01234", "99"], "VARCHAR"),
    (["+1"], "VARCHAR"),
    (["1", "1.5", ".5", "-2e10"], "DOUBLE"),
    (["0.1", "0.30000000000000004"], "DOUBLE"),
    (["1.50000000000000000"], "DOUBLE"),
    (["12345678901234567.89"], "VARCHAR"),
    (["0.1234567890123456789"], "VARCHAR"),
    (["1234567890123456789", "1.5"], "VARCHAR"),
    (["123456789012345678", "1.5"], "VARCHAR"),
    (["1e999"], "VARCHAR"),
    (["true", "FALSE", None], "BOOLEAN"),
    (["true", "1"], "VARCHAR"),
    (["yes"], "VARCHAR"),
    (["2024-02-29", "1999-12-31"], "DATE"),
    (["2023-02-29"], "VARCHAR"),
    (["01/02/2024"], "VARCHAR"),
    (["2024-01-02", "2024-01-02 10:00"], "VARCHAR"),
    (["2024-01-02 10:00", "2024-01-02T10:00:01.5"], "TIMESTAMP"),
    (["2024-01-02T10:00:00.123456789"], "VARCHAR"),
    (["2024-01-02T10:00:00Z", "2024-01-02 10:00:00+02:00"], "TIMESTAMPTZ"),
    (["2024-01-02T10:00:00Z", "2024-01-02T10:00:00"], "VARCHAR"),
    (["10:00", "23:59:59.5"], "TIME"),
    (["25:00"], "VARCHAR"),
    ([None, None], "VARCHAR"),
    ([""], "VARCHAR"),
]


@pytest.mark.parametrize(("values", "kind"), CASES)
def test_the_type_of_values(values: list[str | None], kind: str) -> None:
    column = TextColumn()
    column.see(pa.array(values, pa.string()))
    assert column.kind == kind


@pytest.mark.parametrize(("values", "kind"), CASES)
def test_it_is_the_same_however_the_values_are_cut(values: list[str | None], kind: str) -> None:
    column = TextColumn()
    for value in reversed(values):
        column.see(pa.array([value], pa.string()))
    assert column.kind == kind


def test_a_late_value_changes_the_type() -> None:
    column = TextColumn()
    column.see(pa.array(["1"] * 1000 + ["x"]))
    assert column.kind == "VARCHAR"


def test_a_date_format_replaces_the_iso_form() -> None:
    column = TextColumn(date_format="%d/%m/%Y")
    column.see(pa.array(["31/01/2024", "01/02/2024"]))
    assert column.kind == "DATE"
    column.see(pa.array(["2024-01-31"]))
    assert column.kind == "VARCHAR"


def test_quoted_numbers_of_json_stay_text() -> None:
    column = TextColumn(TIMES)
    column.see(pa.array(["12", "13"]))
    assert column.kind == "VARCHAR"


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1))
def test_doubles_as_python_writes_them_lose_nothing(numbers: list[float]) -> None:
    column = TextColumn()
    written = [repr(number) for number in numbers]
    column.see(pa.array(written))
    if column.kind == "DOUBLE":
        assert [float(text) for text in written] == numbers


@given(st.lists(st.integers(), min_size=1))
def test_integers_of_any_size_lose_nothing(numbers: list[int]) -> None:
    column = TextColumn()
    column.see(pa.array([str(number) for number in numbers]))
    limit = {"BIGINT": 2**63, "DECIMAL(38,0)": 10**38, "VARCHAR": float("inf")}[column.kind]
    assert all(abs(number) < limit for number in numbers)
