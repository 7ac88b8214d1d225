"""Incremental loads by ``cursor_field``, of rows, Arrow tables and bulk scans."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from delete_files import delete_equal, delete_positions
from pydantic import BaseModel
from pyiceberg.types import StringType

import floe_ingest
from floe_ingest import BulkScan, ConfigurationError, SourceRequest, SourceType, cursor_window, hookimpl
from floe_ingest.plugins import Plugins, load_plugins

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from conftest import Lake

pytestmark = [
    pytest.mark.requirement("FR-038"),
    pytest.mark.requirement("FR-039"),
    pytest.mark.requirement("FR-040"),
    pytest.mark.requirement("FR-041"),
    pytest.mark.requirement("FR-042"),
    pytest.mark.requirement("FR-043"),
]

TYPES = ("rows_feed", "arrow_feed", "bulk_feed", "batches_feed")
COLUMNS = ("arrow_feed", "bulk_feed", "batches_feed")


class FeedConfig(BaseModel, extra="forbid"):
    path: str
    fail: bool = False


class Feed:
    """A source package over one Parquet file, in each way in which a source can give rows."""

    def __init__(self) -> None:
        self.windows: list[Any] = []

    @hookimpl
    def floe_ingest_source_types(self) -> list[SourceType]:
        return [
            SourceType("rows_feed", FeedConfig, "Rows of a file"),
            SourceType("arrow_feed", FeedConfig, "Arrow tables of a file", capabilities=("bulk",)),
            SourceType("bulk_feed", FeedConfig, "A scan of a file", capabilities=("bulk",)),
            SourceType("batches_feed", FeedConfig, "A scan of batches", capabilities=("bulk",)),
        ]

    @hookimpl
    def floe_ingest_build_source(self, request: SourceRequest) -> Any:
        import dlt

        return dlt.resource(self._items(request), name="feed")

    def _items(self, request: SourceRequest) -> Iterator[Any]:
        self.windows.append(cursor_window(request, "feed"))
        path = str(request.resolve_path(request.config.path))
        if request.source_type == "bulk_feed":
            yield BulkScan("SELECT * FROM read_parquet(?)", (path,), origin="the feed")
        elif request.source_type == "batches_feed":
            table = pq.read_table(path)
            yield BulkScan.of_batches(lambda: table.to_batches(2), table.schema, origin="the feed")
        elif request.source_type == "arrow_feed":
            table = pq.read_table(path)
            yield table.slice(0, 2)
            yield table.slice(2)
        else:
            yield pq.read_table(path).to_pylist()
        if request.config.fail:
            raise ValueError("the feed broke off")


@pytest.fixture
def feed() -> Feed:
    return Feed()


@pytest.fixture
def plugins(feed: Feed) -> Plugins:
    return load_plugins(extra={"feed": feed})


@pytest.fixture
def home(lake: Lake, tmp_path: Path) -> Path:
    """A folder whose embedded catalog is where ``lake`` looks."""
    folder = tmp_path / "home"
    (folder / "warehouse").mkdir(parents=True)
    object.__setattr__(lake, "folder", folder / "warehouse")
    return folder


class Loader:
    """Writes the feed's file, and loads it."""

    def __init__(self, home: Path, plugins: Plugins, lake: Lake) -> None:
        self.home = home
        self.plugins = plugins
        self.lake = lake
        self.options: dict[str, Any] = {"cursor_field": "at"}
        self.document: dict[str, Any] = {}
        self.source_type = "bulk_feed"
        self.schema: pa.Schema | None = None
        self.fail = False

    def config(self) -> Any:
        source = {
            "name": "a",
            "source_type": self.source_type,
            "source_config": {"path": "feed.parquet", "fail": self.fail},
            "destination_table": "raw.a",
            **self.options,
        }
        document = {"retry_config": {"max_retries": 0}, "sources": [source], **self.document}
        (self.home / "ingest.yaml").write_text(json.dumps(document))
        return floe_ingest.load_config(self.home / "ingest.yaml", plugins=self.plugins)

    def write(self, rows: Sequence[dict[str, Any]]) -> None:
        pq.write_table(pa.Table.from_pylist(list(rows), schema=self.schema), self.home / "feed.parquet")

    def load(self, rows: Sequence[dict[str, Any]], **options: Any) -> Any:
        self.write(rows)
        return self.run_again(**options)

    def run_again(self, **options: Any) -> Any:
        [result] = floe_ingest.run(self.config(), plugins=self.plugins, **options).sources
        return result

    def loaded(self, rows: Sequence[dict[str, Any]], **options: Any) -> int:
        result = self.load(rows, **options)
        assert result.success, result.errors
        return int(result.rows_loaded)

    def table(self, columns: str = "id") -> list[Any]:
        found = self.lake.duckdb("raw.a", f"SELECT {columns} FROM t ORDER BY ALL")
        return [tuple(row.values()) if "," in columns else row[columns] for row in found.to_pylist()]


@pytest.fixture
def loader(home: Path, plugins: Plugins, lake: Lake) -> Loader:
    return Loader(home, plugins, lake)


def row(number: int, at: Any, note: str = "") -> dict[str, Any]:
    return {"id": number, "at": at, "note": note}


@pytest.mark.parametrize("source_type", TYPES)
def test_rows_at_the_boundary_are_neither_lost_nor_doubled(loader: Loader, source_type: str) -> None:
    loader.source_type = source_type
    rows = [row(1, 10), row(2, 20), row(3, 20)]
    assert loader.loaded(rows) == 3
    assert loader.loaded(rows) == 0
    snapshots = len(loader.lake.table("raw.a").snapshots())

    # Late ones with the boundary's own value, a copy of one that is there, and one that is behind it.
    late = [row(4, 20), row(3, 20), row(5, 30), row(0, 5)]
    assert loader.loaded(rows + late[:1] + late[2:]) == 2
    assert loader.table() == [1, 2, 3, 4, 5]
    assert loader.loaded(rows + late) == 0
    assert len(loader.lake.table("raw.a").snapshots()) == snapshots + 1


@pytest.mark.parametrize("source_type", COLUMNS)
def test_equal_rows_count(loader: Loader, source_type: str) -> None:
    """Rows without a key may be equal; as many stay as the source has."""
    loader.source_type = source_type
    one = row(1, 10)
    assert loader.loaded([one, one]) == 2
    assert loader.loaded([one, one, one, row(2, 11), one]) == 3
    assert loader.table() == [1, 1, 1, 1, 2]


@pytest.mark.parametrize("source_type", TYPES)
def test_a_merge_takes_what_changed_within_the_boundary(loader: Loader, source_type: str) -> None:
    loader.source_type = source_type
    loader.options |= {"write_mode": "merge", "primary_key": "id"}
    assert loader.loaded([row(1, 10), row(2, 20)]) == 2
    assert loader.loaded([row(1, 10), row(2, 20, "changed"), row(3, 20)]) == 2
    assert loader.table("id, note") == [(1, ""), (2, "changed"), (3, "")]


@pytest.mark.parametrize("source_type", TYPES)
def test_initial_value_and_descending_order(loader: Loader, source_type: str) -> None:
    loader.source_type = source_type
    loader.options["cursor"] = {"initial_value": 50, "order": "desc"}
    assert loader.loaded([row(1, 60), row(2, 50), row(3, 40)]) == 2
    assert loader.loaded([row(1, 60), row(3, 40), row(4, 40), row(5, 45), row(6, 30)]) == 2
    assert loader.table() == [2, 3, 4, 6]


@pytest.mark.parametrize("source_type", COLUMNS)
def test_the_end_is_left_out_and_kept_to(loader: Loader, source_type: str) -> None:
    loader.source_type = source_type
    loader.options["cursor"] = {"end_value": 30}
    rows = [row(1, 10), row(2, 29), row(3, 30), row(4, 31)]
    assert loader.loaded(rows) == 2
    assert loader.loaded([*rows, row(5, 29)]) == 1
    assert loader.table() == [1, 2, 5]


@pytest.mark.parametrize("source_type", COLUMNS)
def test_the_lag_finds_late_rows_once(loader: Loader, source_type: str, feed: Feed) -> None:
    loader.source_type = source_type
    loader.options["cursor"] = {"lag": 10, "initial_value": 15}
    rows = [row(1, 15), row(2, 20), row(3, 28)]
    assert loader.loaded(rows) == 3
    late = [row(4, 18), row(5, 17), row(6, 14)]
    assert loader.loaded(rows + late) == 1
    assert loader.table() == [1, 2, 3, 4]
    assert [window.start for window in feed.windows] == [15, 18]


def test_a_lag_does_not_cross_the_initial_value(loader: Loader, feed: Feed) -> None:
    loader.options["cursor"] = {"lag": 1000, "initial_value": "2024-01-01"}
    first = datetime(2024, 1, 1, 0, 5, tzinfo=UTC)
    assert loader.loaded([row(1, first)]) == 1
    assert loader.loaded([row(1, first)]) == 0
    assert feed.windows[1].start == datetime(2024, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize("source_type", TYPES)
def test_rows_without_a_value_stop_the_load_by_default(loader: Loader, source_type: str) -> None:
    loader.source_type = source_type
    assert loader.loaded([row(1, 10), row(2, 20)]) == 2
    failed = loader.load([row(3, None), row(4, 30)])
    assert not failed.success
    assert "at" in failed.errors[0].message
    assert loader.table() == [1, 2]


@pytest.mark.parametrize("source_type", TYPES)
def test_rows_without_a_value_can_be_left_out(loader: Loader, source_type: str) -> None:
    loader.source_type = source_type
    loader.options["cursor"] = {"nulls": "exclude"}
    assert loader.loaded([row(1, 10), row(2, None)]) == 1
    assert loader.loaded([row(1, 10), row(2, None), row(3, None), row(4, 40)]) == 1
    assert loader.table() == [1, 4]


@pytest.mark.parametrize("source_type", COLUMNS)
def test_rows_without_a_value_can_be_loaded_once(loader: Loader, source_type: str) -> None:
    loader.source_type = source_type
    loader.schema = pa.schema([("id", pa.int64()), ("at", pa.int64()), ("note", pa.string())])
    loader.options["cursor"] = {"nulls": "include"}
    assert loader.loaded([row(2, None)]) == 1
    assert loader.loaded([row(1, 10), row(2, None)]) == 1
    assert loader.loaded([row(1, 10), row(2, None), row(3, None), row(4, 40)]) == 2
    assert loader.table() == [1, 2, 3, 4]


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"cursor": {"lag": 5}}, "lag"),
        ({"cursor": {"nulls": "include"}}, "nulls"),
        ({"cursor": {"initial_value": 1, "end_value": 9}}, "end_value"),
        ({"write_mode": "replace"}, "replace"),
        ({"write_mode": "merge", "primary_key": "id", "cursor": {"end_value": 9}}, "initial_value"),
    ],
)
def test_rows_refuse_what_would_double_them(loader: Loader, options: dict[str, Any], word: str) -> None:
    loader.source_type = "rows_feed"
    loader.options |= options
    failed = loader.load([row(1, 1)])
    assert failed.errors[0].category == "configuration"
    assert word in failed.errors[0].message


@pytest.mark.parametrize(
    ("kind", "first", "second"),
    [
        (pa.timestamp("us"), datetime(2024, 3, 31, 1, 30), datetime(2024, 3, 31, 2, 30)),
        (
            pa.timestamp("us", "Europe/Berlin"),
            datetime(2024, 3, 31, 0, 30, tzinfo=UTC),
            datetime(2024, 3, 31, 1, 30, 0, 1, tzinfo=UTC),
        ),
        (pa.timestamp("s"), datetime(2024, 1, 1), datetime(2024, 1, 2)),
        (pa.date32(), datetime(2024, 1, 1).date(), datetime(2024, 1, 2).date()),
        (pa.string(), "b", "ä"),
        (pa.decimal128(20, 4), 1, 2),
        (pa.float64(), 1.5, 2.5),
    ],
)
@pytest.mark.parametrize("source_type", COLUMNS)
def test_the_kinds_of_a_cursor(
    loader: Loader, source_type: str, kind: pa.DataType, first: Any, second: Any
) -> None:
    loader.source_type = source_type
    loader.schema = pa.schema([("id", pa.int64()), ("at", kind), ("note", pa.string())])
    assert loader.loaded([row(1, first)]) == 1
    assert loader.loaded([row(1, first), row(2, first), row(3, second)]) == 2
    assert loader.loaded([row(1, first), row(4, second), row(3, second)]) == 1
    assert loader.table() == [1, 2, 3, 4]


def test_nanoseconds_are_finer_than_the_table(loader: Loader) -> None:
    """The table keeps microseconds; rows of one microsecond that come later are still found."""
    kind = pa.timestamp("ns")
    loader.schema = pa.schema([("id", pa.int64()), ("at", kind), ("note", pa.string())])
    moment = pa.scalar(1_700_000_000_000_000_500, kind)
    before = pa.scalar(1_700_000_000_000_000_400, kind)
    assert loader.loaded([row(1, moment)]) == 1
    assert loader.loaded([row(1, moment), row(2, before)]) == 1
    assert loader.table() == [1, 2]


def test_a_new_column_makes_no_row_new(loader: Loader) -> None:
    assert loader.loaded([row(1, 10), row(2, 20)]) == 2
    wider = [{**row(1, 10), "more": 1}, {**row(2, 20), "more": 2}, {**row(3, 20), "more": 3}]
    assert loader.loaded(wider) == 1
    assert loader.table("id, more") == [(1, None), (2, None), (3, 3)]


@pytest.mark.parametrize("source_type", TYPES)
def test_a_rolled_back_table_takes_its_cursor_back(loader: Loader, source_type: str) -> None:
    loader.source_type = source_type
    rows = [row(1, 10), row(2, 20), row(3, 30)]
    loader.loaded(rows[:1])
    first = loader.lake.table("raw.a").current_snapshot()
    assert first is not None
    loader.loaded(rows)
    loader.lake.table("raw.a").manage_snapshots().rollback_to_snapshot(first.snapshot_id).commit()
    assert loader.table() == [1]
    assert loader.loaded(rows) == 2
    assert loader.table() == [1, 2, 3]


@pytest.mark.parametrize("source_type", TYPES)
@pytest.mark.parametrize("zone", [None, UTC])
def test_a_timestamp_is_rolled_back_as_one(loader: Loader, source_type: str, zone: Any) -> None:
    loader.source_type = source_type
    loader.options |= {"write_mode": "merge", "primary_key": "id"}
    rows = [row(n, datetime(2024, 1, n, 12, 0, 0, 1, tzinfo=zone)) for n in (1, 2, 3)]
    loader.loaded(rows[:1])
    first = loader.lake.table("raw.a").current_snapshot()
    assert first is not None
    loader.loaded(rows)
    loader.lake.table("raw.a").manage_snapshots().rollback_to_snapshot(first.snapshot_id).commit()
    assert loader.loaded(rows) == 2
    assert loader.table() == [1, 2, 3]


@pytest.mark.parametrize("source_type", TYPES)
def test_a_full_refresh_forgets_the_cursor(loader: Loader, source_type: str) -> None:
    loader.source_type = source_type
    rows = [row(1, 10), row(2, 20)]
    loader.loaded(rows)
    assert loader.loaded([row(0, 5), *rows], full_refresh=True) == 3
    assert loader.table() == [0, 1, 2]
    assert loader.loaded([row(0, 5), *rows, row(3, 20)]) == 1


@pytest.mark.parametrize("source_type", TYPES)
def test_a_failed_load_moves_no_cursor(loader: Loader, source_type: str) -> None:
    loader.source_type = source_type
    loader.loaded([row(1, 10)])
    loader.fail = True
    assert not loader.load([row(1, 10), row(2, 20)]).success
    loader.fail = False
    assert loader.loaded([row(1, 10), row(2, 20)]) == 1
    assert loader.table() == [1, 2]


def test_a_source_sees_the_window(loader: Loader, feed: Feed) -> None:
    loader.options["cursor"] = {"initial_value": 3}
    loader.loaded([row(1, 10)])
    loader.loaded([row(1, 10), row(2, 11)])
    assert [window.bounds() for window in feed.windows] == [((">=", 3),), ((">=", 10),)]


def test_a_resource_may_have_a_cursor_of_its_own(loader: Loader, feed: Feed) -> None:
    loader.options = {"resources": {"feed": {"cursor_field": "at", "cursor": {"nulls": "exclude"}}}}
    assert loader.loaded([row(1, 10), row(2, None)]) == 1
    assert feed.windows[0].nulls == "exclude"


@pytest.mark.parametrize("source_type", COLUMNS)
def test_a_cursor_field_that_is_not_there_is_told(loader: Loader, source_type: str) -> None:
    loader.source_type = source_type
    loader.options["cursor_field"] = "updated_at"
    [error] = loader.load([row(1, 10)]).errors
    assert (error.category, error.type) == ("configuration", "SourceConfigurationError")
    assert "'updated_at'" in error.message
    assert "id, at, note" in error.message


def test_a_cursor_that_is_no_order_is_refused(loader: Loader) -> None:
    loader.options["cursor_field"] = "flag"
    [error] = loader.load([{"id": 1, "flag": True}]).errors
    assert "flag" in error.message
    loader.options["cursor_field"] = "at"
    [error] = loader.load([row(1, 1.5), row(2, float("nan"))]).errors
    assert "NaN" in error.message


def test_options_without_a_cursor_field_are_refused(loader: Loader) -> None:
    loader.options = {"cursor": {"lag": 5}}
    with pytest.raises(ConfigurationError, match=r"sources\[0\].cursor: says how cursor_field is read"):
        loader.config()
    loader.options = {"resources": {"feed": {"cursor": {"lag": 5}}}}
    with pytest.raises(ConfigurationError, match=r"resources\.feed\.cursor"):
        loader.config()


@pytest.mark.parametrize("source_type", TYPES)
def test_a_range_is_replaced_and_moves_no_cursor(loader: Loader, source_type: str) -> None:
    loader.source_type = source_type
    assert loader.loaded([row(1, 10), row(2, 20), row(3, 30)]) == 3
    # Within the range one row changed, one went and one came; those around it are not looked at.
    changed = [row(9, 19, "out"), row(2, 20, "changed"), row(4, 29), row(9, 30, "out"), row(5, 40)]
    assert loader.loaded(changed, cursor_range=(20, 30)) == 2
    assert loader.table('id, "at", note') == [(1, 10, ""), (2, 20, "changed"), (3, 30, ""), (4, 29, "")]
    assert loader.loaded(changed, cursor_range=(20, 30)) == 2
    assert loader.table() == [1, 2, 3, 4]
    # The cursor still stands at 30, and the range of the run before means nothing to the next one.
    assert loader.loaded([row(3, 30), row(5, 40)]) == 1
    assert loader.table() == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("source_type", TYPES)
def test_a_range_without_rows_is_emptied(loader: Loader, source_type: str) -> None:
    loader.source_type = source_type
    loader.loaded([row(1, 10), row(2, 20), row(3, 30)])
    assert loader.loaded([row(1, 10), row(3, 30)], cursor_range=(15, 30)) == 0
    assert loader.table() == [1, 3]


@pytest.mark.parametrize("source_type", TYPES)
def test_ranges_can_be_loaded_first_and_in_any_order(loader: Loader, source_type: str) -> None:
    loader.source_type = source_type
    days = [datetime(2024, 1, day, tzinfo=UTC) for day in range(1, 5)]
    rows = [row(number, day) for number, day in enumerate(days)]
    for start in (2, 0, 1, 0):
        assert loader.loaded(rows, cursor_range=(days[start], days[start + 1])) == 1
    assert loader.table() == [0, 1, 2]


@pytest.mark.parametrize("source_type", TYPES)
def test_a_merged_range_takes_rows_of_the_same_key_from_elsewhere(loader: Loader, source_type: str) -> None:
    loader.source_type = source_type
    loader.options |= {"write_mode": "merge", "primary_key": "id"}
    loader.loaded([row(1, 10), row(2, 20), row(3, 30)])
    assert loader.loaded([row(1, 25, "moved")], cursor_range=(20, 30)) == 1
    assert loader.table('id, "at"') == [(1, 25), (3, 30)]


def test_child_rows_follow_a_range(loader: Loader) -> None:
    loader.source_type = "rows_feed"

    def parent(number: int, at: int, *items: int) -> dict[str, Any]:
        return {"id": number, "at": at, "items": [{"n": item} for item in items]}

    loader.loaded([parent(1, 10, 11), parent(2, 20, 21, 22), parent(3, 30, 31)])
    loader.loaded([parent(2, 20, 23)], cursor_range=(20, 30))
    assert sorted(found["n"] for found in loader.lake.rows("raw.a__items")) == [11, 23, 31]


def test_a_range_needs_a_cursor_field(loader: Loader) -> None:
    loader.options = {}
    loader.write([row(1, 10)])
    with pytest.raises(ConfigurationError, match="no cursor_field"):
        floe_ingest.run(loader.config(), plugins=loader.plugins, cursor_range=(1, 2))
    with pytest.raises(ValueError, match="choose one"):
        floe_ingest.run(loader.config(), plugins=loader.plugins, cursor_range=(1, 2), full_refresh=True)


def _made_by_generator(rows: Any) -> Any:
    import dlt

    return dlt.resource((row for row in rows), name="feed")


def _made_by_function(rows: Any) -> Any:
    import dlt

    def feed() -> Iterator[Any]:
        yield from rows

    return dlt.resource(feed, name="feed")


def _made_by_call(rows: Any) -> Any:
    import dlt

    @dlt.resource(name="feed")
    def feed(found: Any) -> Iterator[Any]:
        yield from found

    return feed(rows)


@pytest.mark.parametrize("make", [_made_by_generator, _made_by_function, _made_by_call])
def test_a_resource_of_any_making_takes_a_cursor(make: Any, home: Path, lake: Lake) -> None:
    rows = [{"id": 1}, {"id": 2}]

    class Maker:
        @hookimpl
        def floe_ingest_source_types(self) -> list[SourceType]:
            return [SourceType("made", FeedConfig, "Rows")]

        @hookimpl
        def floe_ingest_build_source(self, request: SourceRequest) -> Any:
            return make(rows)

    source = {
        "name": "a",
        "source_type": "made",
        "source_config": {"path": ""},
        "destination_table": "raw.a",
        "cursor_field": "id",
    }
    config = floe_ingest.DltIngestionConfig(sources=[source]).at(home / "ingest.yaml")
    for added, loaded in ((), 2), ([{"id": 3}], 1):
        rows = [*rows, *added]
        result = floe_ingest.run(config, plugins=load_plugins(extra={"made": Maker()}))
        assert result.success, result.sources[0].errors
        assert result.sources[0].rows_loaded == loaded
    assert sorted(row["id"] for row in lake.rows("raw.a")) == [1, 2, 3]


def hidden(loader: Loader) -> None:
    """Delete the first row of the table, as Spark does by merge-on-read."""
    delete_positions(loader.lake.table("raw.a"), [0])


def renamed(loader: Loader) -> None:
    """Give two columns new names, one of them a name that the other had."""
    with loader.lake.table("raw.a").update_schema() as update:
        update.rename_column("note", "older")
    with loader.lake.table("raw.a").update_schema() as update:
        update.add_column("note", StringType())


@pytest.mark.parametrize("source_type", COLUMNS)
def test_a_row_at_the_boundary_that_was_deleted_from_the_table_comes_again(
    loader: Loader, source_type: str
) -> None:
    loader.source_type = source_type
    rows = [row(1, 20), row(2, 20), row(3, 20)]
    assert loader.loaded(rows) == 3
    hidden(loader)
    assert loader.loaded(rows) == 1
    assert sorted(found["id"] for found in loader.lake.rows("raw.a")) == [1, 2, 3]


@pytest.mark.parametrize("source_type", COLUMNS)
def test_boundary_rows_are_told_apart_by_field_ids(loader: Loader, source_type: str) -> None:
    """What a file has under a name may be another column's by now."""
    loader.source_type = source_type
    rows = [row(1, 20, "x"), row(2, 20, "x")]
    assert loader.loaded(rows) == 2
    renamed(loader)
    assert loader.loaded(rows) == 2
    assert loader.table("id, note, older") == [(1, "x", None), (1, None, "x"), (2, "x", None), (2, None, "x")]
    assert loader.loaded(rows) == 0


@pytest.mark.parametrize("source_type", COLUMNS)
def test_boundary_rows_of_a_partitioned_table(loader: Loader, source_type: str) -> None:
    loader.source_type = source_type
    loader.options["partition_by"] = ["note", "bucket[4](id)"]
    rows = [row(1, 20, "x"), row(2, 20, "y"), row(2, 20, "y")]
    assert loader.loaded(rows) == 3
    assert loader.loaded([*rows, row(2, 20, "y"), row(2, 20, "z")]) == 2
    assert loader.table("id, note") == [(1, "x"), (2, "y"), (2, "y"), (2, "y"), (2, "z")]


@pytest.mark.parametrize("source_type", COLUMNS)
def test_boundary_rows_that_nobody_can_tell_stop_the_load(loader: Loader, source_type: str) -> None:
    loader.source_type = source_type
    rows = [row(1, 20), row(2, 20)]
    assert loader.loaded(rows) == 2
    delete_equal(loader.lake.table("raw.a"), "id", [1])
    result = loader.load(rows)
    assert not result.success
    assert "Table raw.a has equality deletes" in result.errors[0].message
    assert "rewrite_data_files" in result.errors[0].message


@pytest.mark.parametrize("source_type", ["arrow_feed", "bulk_feed"])
def test_boundary_rows_are_compared_within_the_memory_limit(loader: Loader, source_type: str) -> None:
    """A quarter of a million rows with the last value are more than what DuckDB may keep in memory."""
    loader.source_type = source_type
    loader.document["memory_limit"] = "160MB"
    rows = pa.table({"id": range(250_000), "at": [20] * 250_000}).append_column(
        "note", pa.array([f"{number:0400d}" for number in range(250_000)])
    )
    pq.write_table(rows, loader.home / "feed.parquet")
    assert loader.run_again().rows_loaded == 250_000
    assert loader.run_again().rows_loaded == 0
