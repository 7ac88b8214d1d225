"""dlt's documented behaviour, held against dlt's own duckdb destination: the same rows on both."""

from __future__ import annotations

import functools
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import dlt
import duckdb
import pytest
from dlt.destinations import duckdb as dlt_duckdb
from dlt.pipeline.exceptions import PipelineStepFailed

import floe_ingest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from conftest import Lake

Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class Peers:
    """The same loads on dlt's duckdb destination and on ours, each time from a folder of their own."""

    lake: Lake
    folder: Path

    @property
    def database(self) -> Path:
        return self.folder / "peer.duckdb"

    def load(self, step: int, source: Callable[[], Any], **options: Any) -> list[bool]:
        """Load on both; return whether each took it."""
        took = []
        for name, destination in (
            ("peer", dlt_duckdb(str(self.database))),
            ("ours", floe_ingest.iceberg(**self.lake.properties)),
        ):
            pipeline = dlt.pipeline(
                "peers",
                destination=destination,
                dataset_name="bronze",
                pipelines_dir=str(self.folder / f"{name}{step}"),
            )
            try:
                pipeline.run(source(), **options)
            except PipelineStepFailed:
                took.append(False)
            else:
                took.append(True)
        return took

    def theirs(self, table: str) -> Rows:
        with duckdb.connect(str(self.database)) as connection:
            connection.execute("SET TimeZone = 'UTC'")
            return connection.execute(f"SELECT * FROM bronze.{table}").to_arrow_table().to_pylist()

    def ours(self, table: str) -> Rows:
        return self.lake.duckdb(f"bronze.{table}").to_pylist()

    def same(self, table: str = "items") -> list[tuple[Any, ...]]:
        """Compare the rows of a table on both; return them, in order, without dlt's own columns."""
        ours, theirs = (plain(rows) for rows in (self.ours(table), self.theirs(table)))
        assert ours == theirs
        return ours


def plain(rows: Rows) -> list[tuple[Any, ...]]:
    names = sorted({name for row in rows for name in row if not name.startswith("_dlt")})
    return sorted((tuple(row.get(name) for name in names) for row in rows), key=repr)


@pytest.fixture
def peers(lake: Lake, tmp_path: Path) -> Peers:
    return Peers(lake, tmp_path)


def items(rows: Any, **hints: Any) -> Callable[[], Any]:
    return lambda: dlt.resource(rows, name="items", **hints)


def merge(strategy: str, **options: Any) -> dict[str, Any]:
    return {"disposition": "merge", "strategy": strategy, **options}


@dataclass(frozen=True)
class Loads:
    """Loads one after the other, with the hints of the resource."""

    rows: Sequence[Rows]
    hints: dict[str, Any] = field(default_factory=dict)
    children: Sequence[str] = ()


ONE = [{"id": 1, "g": "a", "v": 1}, {"id": 2, "g": "a", "v": 2}, {"id": 3, "g": "b", "v": 3}]
TWO = [{"id": 2, "g": "a", "v": 20}, {"id": 4, "g": "c", "v": 40}]
NESTED = [{"id": i, "lines": [{"sku": f"{i}{j}", "tags": ["x", "y"]} for j in range(i)]} for i in (1, 2, 3)]
NESTED_TWO = [
    {"id": 2, "lines": [{"sku": "new", "tags": []}]},
    {"id": 4, "lines": [{"sku": "4", "tags": ["z"]}]},
]
BY_ID: dict[str, Any] = {"primary_key": "id"}

DISPOSITIONS = {
    "append": Loads([ONE, TWO], {"write_disposition": "append"}),
    "replace": Loads([ONE, TWO], {"write_disposition": "replace"}),
    "replace by nothing": Loads([ONE, []], {"write_disposition": "replace"}),
    "append, nested": Loads(
        [NESTED, NESTED_TWO], {"write_disposition": "append"}, ("items__lines", "items__lines__tags")
    ),
    "replace, nested": Loads(
        [NESTED, NESTED_TWO], {"write_disposition": "replace"}, ("items__lines", "items__lines__tags")
    ),
    "merge without keys appends": Loads([ONE, TWO], {"write_disposition": "merge"}),
    "merge, dlt's default strategy": Loads([ONE, TWO], {"write_disposition": "merge", **BY_ID}),
    **{
        f"merge {strategy}": Loads([ONE, TWO], {"write_disposition": merge(strategy), **BY_ID})
        for strategy in ("delete-insert", "upsert", "insert-only")
    },
    **{
        f"merge {strategy}, nested": Loads(
            [NESTED, NESTED_TWO],
            {"write_disposition": merge(strategy), **BY_ID},
            ("items__lines", "items__lines__tags"),
        )
        for strategy in ("delete-insert", "upsert", "insert-only")
    },
    "delete-insert by merge key": Loads(
        [ONE, TWO], {"write_disposition": merge("delete-insert"), "merge_key": "g"}
    ),
    "delete-insert by both keys": Loads(
        [ONE, TWO], {"write_disposition": merge("delete-insert"), "merge_key": "g", **BY_ID}
    ),
    "composite key": Loads(
        [ONE, [{"id": 2, "g": "b", "v": 9}, {"id": 3, "g": "b", "v": 9}]],
        {"write_disposition": merge("upsert"), "primary_key": ["id", "g"]},
    ),
    **{
        f"dedup_sort {direction}": Loads(
            [[{"id": 1, "v": 2}, {"id": 1, "v": 3}, {"id": 1, "v": 1}, {"id": 2, "v": 1}]],
            {
                "write_disposition": merge("delete-insert"),
                "columns": {"v": {"dedup_sort": direction}},
                **BY_ID,
            },
        )
        for direction in ("asc", "desc")
    },
    **{
        f"hard delete by {kind}, {strategy}": Loads(
            [
                [{"id": i, "v": i, "gone": None} for i in (1, 2, 3)],
                [
                    {"id": 1, "v": 10, "gone": mark},
                    {"id": 2, "v": 20, "gone": None},
                    *([{"id": 9, "v": 9, "gone": mark}] if strategy == "delete-insert" else []),
                ],
            ],
            {
                "write_disposition": merge(strategy),
                "columns": {"gone": {"hard_delete": True, "data_type": kind}},
                **BY_ID,
            },
        )
        for kind, mark in (("bool", True), ("timestamp", "2024-01-01T00:00:00Z"))
        for strategy in ("delete-insert", "upsert")
    },
    "hard delete, nested": Loads(
        [NESTED, [{"id": 3, "gone": True}]],
        {
            "write_disposition": merge("delete-insert"),
            "columns": {"gone": {"hard_delete": True, "data_type": "bool"}},
            **BY_ID,
        },
        ("items__lines", "items__lines__tags"),
    ),
}


@pytest.mark.parametrize("name", DISPOSITIONS)
def test_write_dispositions_and_merge_strategies(peers: Peers, name: str) -> None:
    loads = DISPOSITIONS[name]
    for step, rows in enumerate(loads.rows):
        assert peers.load(step, items(rows, **loads.hints)) == [True, True]

    peers.same()
    for child in loads.children:
        peers.same(child)


DELETIONS_OF_NOTHING = {
    "by bool": Loads(
        [[{"id": 1, "gone": False}], [{"id": 1, "gone": False}, {"id": 2, "gone": True}]],
        {"columns": {"gone": {"hard_delete": True}}},
    ),
    "by timestamp": Loads(
        [[{"id": 1, "gone": None}], [{"id": 1, "gone": None}, {"id": 2, "gone": "2024-01-01T00:00:00Z"}]],
        {"columns": {"gone": {"hard_delete": True, "data_type": "timestamp"}}},
    ),
}


@pytest.mark.parametrize("name", DELETIONS_OF_NOTHING)
def test_an_upsert_never_inserts_a_deletion(peers: Peers, name: str) -> None:
    """A difference on purpose: dlt's upsert inserts a row that is marked as deleted and was never there."""
    loads = DELETIONS_OF_NOTHING[name]
    for step, rows in enumerate(loads.rows):
        source = items(rows, write_disposition=merge("upsert"), **BY_ID, **loads.hints)
        assert peers.load(step, source) == [True, True]

    assert sorted(row["id"] for row in peers.theirs("items")) == [1, 2]
    assert [row["id"] for row in peers.ours("items")] == [1]


def test_skip_is_loaded_by_neither(peers: Peers) -> None:
    assert peers.load(0, items(ONE, write_disposition="skip")) == [False, False]

    assert not peers.lake.catalog().table_exists("bronze.items")


def test_unchanged_rows_are_the_same_whether_skipped_or_not(peers: Peers) -> None:
    disposition = merge("upsert", skip_unchanged_rows=True)
    for step, rows in enumerate((ONE, [ONE[0], *TWO])):
        assert peers.load(step, items(rows, write_disposition=disposition, **BY_ID)) == [True, True]

    peers.same()


def test_duplicates_of_a_load_that_is_declared_free_of_them(peers: Peers) -> None:
    """A difference on purpose: two rows with one key never land, whatever the load declares."""
    disposition = merge("delete-insert", deduplicated=True)
    assert peers.load(0, items([ONE[0], ONE[0]], write_disposition=disposition, **BY_ID)) == [True, True]

    assert len(peers.theirs("items")) == 2
    assert len(peers.ours("items")) == 1


def test_rows_without_a_key_are_refused(peers: Peers) -> None:
    """A difference on purpose: dlt's duckdb destination drops or keeps them, by the strategy."""
    columns = {"id": {"nullable": True}}
    rows = [{"id": 1}, {"id": None}]
    source = items(rows, write_disposition=merge("upsert"), columns=columns, **BY_ID)
    _, ours = peers.load(0, source)

    assert not ours


FIRST, SECOND, THIRD = (f"2024-01-0{day}T00:00:00Z" for day in (1, 2, 3))
SCD2 = {
    "as it is": {},
    "names of the validity columns": {"validity_column_names": ["since", "until"]},
    "active record timestamp": {"active_record_timestamp": "9999-12-31"},
    "row version": {"row_version_column_name": "ver"},
    "merge key": {"merge_key": "id"},
    "merge key, a slice": {"merge_key": "g"},
}


@pytest.mark.parametrize("name", SCD2)
def test_scd2_and_its_options(peers: Peers, name: str) -> None:
    """The boundary is given, so that both say the same times. A row changes, goes, and comes back."""
    options: dict[str, Any] = dict(SCD2[name])
    keys = {"merge_key": options.pop("merge_key")} if "merge_key" in options else {}
    versions = [ONE, [ONE[0], {"id": 2, "g": "a", "v": 20}], [ONE[0], ONE[1], {"id": 5, "g": "b", "v": 5}]]
    for step, (boundary, rows) in enumerate(zip((FIRST, SECOND, THIRD), versions, strict=True)):
        marked = [row | {"ver": f"{row['id']}-{row['v']}"} for row in rows] if "version" in name else rows
        disposition = merge("scd2", boundary_timestamp=boundary, **options)
        assert peers.load(step, items(marked, write_disposition=disposition, **keys)) == [True, True]

    assert len(peers.same()) >= 5


def test_scd2_with_nested_rows(peers: Peers) -> None:
    for step, (boundary, rows) in enumerate(((FIRST, NESTED), (SECOND, NESTED_TWO), (THIRD, NESTED))):
        source = items(rows, write_disposition=merge("scd2", boundary_timestamp=boundary))
        assert peers.load(step, source) == [True, True]

    peers.same()
    peers.same("items__lines")


MODES = ("evolve", "freeze", "discard_value", "discard_row")
CHANGES = {
    "columns": [{"id": 2, "v": 2, "added": 1}, {"id": 3, "v": 3}],
    "data_type": [{"id": 2, "v": "text"}, {"id": 3, "v": 3}],
}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("entity", CHANGES)
def test_schema_contracts_of_columns_and_types(peers: Peers, entity: str, mode: str) -> None:
    assert peers.load(0, items([{"id": 1, "v": 1}])) == [True, True]
    took = peers.load(1, items(CHANGES[entity], schema_contract={entity: mode}))

    assert took == [mode != "freeze"] * 2
    peers.same()


@pytest.mark.parametrize("mode", MODES)
def test_schema_contracts_of_tables(peers: Peers, mode: str) -> None:
    assert peers.load(0, items([{"id": 1}])) == [True, True]

    took = peers.load(1, items([{"id": 2, "lines": [{"sku": "a"}]}]), schema_contract={"tables": mode})

    assert took == [mode != "freeze"] * 2
    peers.same()
    assert peers.lake.catalog().table_exists("bronze.items__lines") == (mode == "evolve")


@pytest.mark.parametrize("mode", MODES)
def test_a_contract_in_one_word(peers: Peers, mode: str) -> None:
    assert peers.load(0, items([{"id": 1, "v": 1}])) == [True, True]

    took = peers.load(1, items([{"id": 2, "v": 2, "added": 1}]), schema_contract=mode)

    assert took == [mode != "freeze"] * 2
    peers.same()


START = datetime(2024, 1, 1, tzinfo=UTC)


def stream(numbers: Iterable[int], **options: Any) -> Callable[[], Any]:
    """Rows whose cursor is a number and whose ``at`` is a time; the incremental is as ``options`` say."""
    cursor = options.pop("cursor", "n")
    primary_key = options.pop("key", None)
    rows = [{"n": n, "at": START + timedelta(hours=n), "id": f"id{n}"} for n in numbers]

    @dlt.resource(name="items", write_disposition="append", primary_key=primary_key)
    def items(cursor: Any = dlt.sources.incremental(cursor, **options)) -> Any:
        yield from rows

    return items


def middle(values: list[int]) -> int:
    """A last value function of the user's: the greatest even number."""
    return max((value for value in values if value % 2 == 0), default=0)


INCREMENTALS: dict[str, list[Callable[[], Any]]] = {
    "initial_value": [stream(range(6), initial_value=2), stream(range(9), initial_value=2)],
    "without initial_value": [stream(range(3)), stream(range(6))],
    "end_value": [
        stream(range(10), initial_value=2, end_value=5),
        stream(range(10), initial_value=5, end_value=8),
    ],
    "last_value_func min": [
        stream(range(5, 9), last_value_func=min),
        stream(range(2, 9), last_value_func=min),
    ],
    "last_value_func of the user's": [
        stream(range(6), last_value_func=middle, initial_value=0),
        stream(range(9), last_value_func=middle, initial_value=0),
    ],
    "row_order asc": [
        stream(range(6), row_order="asc", initial_value=1, end_value=4),
        stream(range(9), row_order="asc"),
    ],
    "row_order desc": [
        stream(reversed(range(6)), row_order="desc", initial_value=2),
        stream(reversed(range(9)), row_order="desc", initial_value=2),
    ],
    "lag of a number": [
        stream(range(6), lag=2, initial_value=0),
        stream(range(4, 9), lag=2, initial_value=0),
    ],
    "lag of a time": [
        stream(range(6), cursor="at", lag=7200, initial_value=START),
        stream(range(3, 9), cursor="at", lag=7200, initial_value=START),
    ],
    "a cursor of time": [stream(range(6), cursor="at"), stream(range(9), cursor="at")],
    "range_start open": [
        stream([1, 2, 3], range_start="open", initial_value=1),
        stream([3, 3, 4], range_start="open"),
    ],
    "range_start closed, primary key": [stream([1, 2, 3], key="id"), stream([3, 3, 4], key="id")],
    "range_start closed, no key": [stream([1, 2, 3]), stream([3, 4])],
    "range_end closed": [stream(range(9), initial_value=2, end_value=5, range_end="closed")],
    "range_end open": [stream(range(9), initial_value=2, end_value=5, range_end="open")],
    "deduplication off": [stream([1, 2, 3], primary_key=()), stream([3, 4], primary_key=())],
}


@pytest.mark.parametrize("name", INCREMENTALS)
def test_incremental_loading(peers: Peers, name: str) -> None:
    """Each load starts in an empty folder, so the cursor comes from the destination."""
    for step, source in enumerate(INCREMENTALS[name]):
        assert peers.load(step, source) == [True, True]

    assert peers.same()


@pytest.mark.parametrize("missing", ["raise", "include", "exclude"])
@pytest.mark.parametrize("row", [{"id": "none", "n": None}, {"id": "none"}], ids=["null", "no key"])
def test_a_missing_cursor(peers: Peers, missing: Any, row: dict[str, Any]) -> None:
    @dlt.resource(name="items")
    def items(cursor: Any = dlt.sources.incremental("n", on_cursor_value_missing=missing)) -> Any:
        yield from [{"id": "one", "n": 1}, row, {"id": "two", "n": 2}]

    took = peers.load(0, items)

    assert took == [missing != "raise"] * 2
    if missing != "raise":
        assert len(peers.same()) == (3 if missing == "include" else 2)


@pytest.mark.parametrize("refresh", ["drop_sources", "drop_resources", "drop_data"])
def test_refresh_modes(peers: Peers, refresh: Any) -> None:
    make = functools.partial(stream, range(4), initial_value=0)
    assert peers.load(0, make()) == [True, True]
    assert peers.load(1, make(), refresh=refresh) == [True, True]

    peers.same()


def test_merge_options_that_are_not_supported_are_refused(lake: Lake, tmp_path: Path) -> None:
    """A difference on purpose: to leave them out silently would give other rows."""
    pipeline = dlt.pipeline(
        "options",
        destination=floe_ingest.iceberg(**lake.properties),
        dataset_name="bronze",
        pipelines_dir=str(tmp_path / "work"),
    )
    for option in ("source_filter", "destination_scope"):
        disposition = merge("delete-insert", **{option: "v > 1"})
        with pytest.raises(PipelineStepFailed, match=option):
            pipeline.run(items(ONE, write_disposition=disposition, **BY_ID)())
        pipeline.drop_pending_packages()
    with pytest.raises(PipelineStepFailed, match="cdc"):
        pipeline.run(items(ONE, write_disposition=merge("cdc"), **BY_ID)())

    assert not lake.catalog().table_exists("bronze.items")
