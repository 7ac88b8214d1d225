"""Files loaded into tables by whole runs, and read back: what is new, what is rejected, what is added."""

from __future__ import annotations

import bz2
import datetime as dt
import gzip
import json
import lzma
import os
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow import feather, ipc

import floe_ingest
from floe_ingest.config import parse_config

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from conftest import Lake

    from floe_ingest import RunResult

    Load = Callable[..., RunResult]

MOMENT = 1_700_000_000_000_000_000


def put(folder: Path, name: str, content: str | bytes, modified_ns: int | None = None) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    if modified_ns is not None:
        os.utime(path, ns=(modified_ns, modified_ns))
    return path


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    return folder


@pytest.fixture
def load(tmp_path: Path, lake: Lake) -> Load:
    def run(
        settings: dict[str, Any] | None = None, *, full_refresh: bool = False, **options: Any
    ) -> RunResult:
        source = {
            "name": "src",
            "source_type": "filesystem",
            "source_config": {"path": "data", **(settings or {})},
            "destination_table": "raw.src",
            **options,
        }
        config = {"catalog_config": lake.properties, "retry_config": {"max_retries": 0}, "sources": [source]}
        return floe_ingest.run(parse_config(config, path=tmp_path / "ingest.yaml"), full_refresh=full_refresh)

    return run


def error_of(result: RunResult) -> str:
    """The one error of a failed load."""
    assert not result.success
    (error,) = result.sources[0].errors
    return error.message


def ids(lake: Lake) -> list[int]:
    return sorted(row["id"] for row in lake.rows("raw.src"))


class TestIncremental:
    SETTINGS: dict[str, Any] = {"incremental": "modified"}  # noqa: RUF012

    def test_each_file_once_also_where_timestamps_are_shared(
        self, data: Path, load: Load, lake: Lake
    ) -> None:
        put(data, "a.csv", "id\n1\n", MOMENT)
        put(data, "b.csv", "id\n2\n", MOMENT + 5)
        assert load(self.SETTINGS).sources[0].rows_loaded == 2
        assert load(self.SETTINGS).sources[0].rows_loaded == 0
        put(data, "0.csv", "id\n3\n", MOMENT + 5)  # as new as the newest, and before it by name
        put(data, "c.csv", "id\n4\n", MOMENT + 6)
        assert load(self.SETTINGS).sources[0].rows_loaded == 2
        assert load(self.SETTINGS).sources[0].rows_loaded == 0
        assert ids(lake) == [1, 2, 3, 4]

    def test_a_changed_file_is_loaded_again(self, data: Path, load: Load, lake: Lake) -> None:
        merge = {"write_mode": "merge", "primary_key": "id"}
        put(data, "a.csv", "id,v\n1,old\n2,old\n", MOMENT)
        load(self.SETTINGS, **merge)
        put(data, "a.csv", "id,v\n1,new\n2,old\n3,new\n", MOMENT + 1)
        assert load(self.SETTINGS, **merge).success
        assert {row["id"]: row["v"] for row in lake.rows("raw.src")} == {1: "new", 2: "old", 3: "new"}

    def test_a_file_of_the_same_time_and_another_size_is_changed(
        self, data: Path, load: Load, lake: Lake
    ) -> None:
        put(data, "a.csv", "id\n1\n", MOMENT)
        load(self.SETTINGS)
        put(data, "a.csv", "id\n1\n2\n", MOMENT)
        load(self.SETTINGS)
        assert ids(lake) == [1, 1, 2]

    def test_files_that_come_late(
        self, data: Path, load: Load, lake: Lake, caplog: pytest.LogCaptureFixture
    ) -> None:
        put(data, "a.csv", "id\n1\n", MOMENT)
        load(self.SETTINGS)
        put(data, "late.csv", "id\n2\n", MOMENT - 10**9)
        assert load(self.SETTINGS).sources[0].rows_loaded == 0
        assert load(self.SETTINGS, full_refresh=True).success
        assert ids(lake) == [1, 2]

    def test_the_window_takes_files_that_come_late(self, data: Path, load: Load, lake: Lake) -> None:
        settings = {**self.SETTINGS, "lookback_seconds": 60}
        put(data, "a.csv", "id\n1\n", MOMENT)
        put(data, "b.csv", "id\n2\n", MOMENT - 30 * 10**9)
        load(settings)
        put(data, "late.csv", "id\n3\n", MOMENT - 59 * 10**9)
        put(data, "too_late.csv", "id\n4\n", MOMENT - 61 * 10**9)
        load(settings)
        assert load(settings).sources[0].rows_loaded == 0
        assert ids(lake) == [1, 2, 3]

    def test_a_load_that_failed_takes_its_files_again(self, data: Path, load: Load, lake: Lake) -> None:
        put(data, "a.csv", "id\n1\n", MOMENT)
        load(self.SETTINGS)
        put(data, "b.csv", "id\n2\n", MOMENT + 1)
        put(data, "c.csv", "id\n3,4\n", MOMENT + 2)
        assert "c.csv, line 2" in error_of(load(self.SETTINGS))
        put(data, "c.csv", "id\n3\n", MOMENT + 2)
        assert load(self.SETTINGS).success
        assert ids(lake) == [1, 2, 3]

    def test_a_replace_would_lose_the_rest(self, data: Path, load: Load) -> None:
        put(data, "a.csv", "id\n1\n")
        with pytest.raises(floe_ingest.SourceConfigurationError, match="would drop the rows of all others"):
            load(self.SETTINGS, write_mode="replace")

    def test_without_it_every_load_reads_every_file(self, data: Path, load: Load, lake: Lake) -> None:
        put(data, "a.csv", "id\n1\n")
        load()
        load()
        assert ids(lake) == [1, 1]


class TestRejected:
    def test_rows_of_csv(self, data: Path, load: Load, lake: Lake) -> None:
        put(data, "a.csv", 'id,t,n\n1,"two\nlines",5\n2,x\n\n3,y,6\n4,z,many\n5,u,7,8\n6,"v\nw",9\n')
        put(data, "b.csv", "id,t,n\n7,x,1\n")
        settings = {"on_bad_row": "skip", "csv": {"types": {"n": "INTEGER"}}}
        result = load(settings)
        assert [(table.table, table.rows_loaded) for table in result.sources[0].tables] == [
            ("raw.src", 4),
            ("raw.src__rejected", 3),
        ]
        assert sorted(lake.rows("raw.src"), key=lambda row: row["id"]) == [
            {"id": 1, "t": "two\nlines", "n": 5},
            {"id": 3, "t": "y", "n": 6},
            {"id": 6, "t": "v\nw", "n": 9},
            {"id": 7, "t": "x", "n": 1},
        ]
        file = str(data / "a.csv")
        assert sorted(lake.rows("raw.src__rejected"), key=lambda row: row["line"]) == [
            {"file": file, "line": 4, "reason": "2 fields, and the file has 3 columns", "text": "2,x"},
            {
                "file": file,
                "line": 7,
                "reason": "column 'n': INTEGER cannot hold 'many' exactly",
                "text": "4,z,many",
            },
            {"file": file, "line": 8, "reason": "4 fields, and the file has 3 columns", "text": "5,u,7,8"},
        ]

    def test_they_are_found_far_below_the_sample(self, data: Path, load: Load, lake: Lake) -> None:
        lines = [f"{i},{'x' * 100}" for i in range(400_000)]
        for bad in (300_000, 350_000):
            lines[bad] += ",more"
        put(data, "a.csv", "id,t\n" + "\n".join(lines) + "\n")
        result = load({"on_bad_row": "skip"})
        assert [table.rows_loaded for table in result.sources[0].tables] == [399_998, 2]
        assert sorted(row["line"] for row in lake.rows("raw.src__rejected")) == [300_002, 350_002]
        assert "line 300002: 3 fields" in error_of(load())

    def test_lines_of_json(self, data: Path, load: Load, lake: Lake) -> None:
        put(data, "a.jsonl", '{"id": 1}\n{"id":\n\n[2]\n{"id": 3, "id": 4}\n{"id": 5}')
        put(data, "b.jsonl", '{"id": 6}\n')
        settings = {"on_bad_row": "skip", "file_columns": ["_file_name"]}
        assert load(settings).success
        rows = sorted((row["id"], row["_file_name"]) for row in lake.rows("raw.src"))
        assert rows == [(1, "a.jsonl"), (5, "a.jsonl"), (6, "b.jsonl")]
        rejected = sorted(lake.rows("raw.src__rejected"), key=lambda row: row["line"])
        assert [(row["line"], row["text"]) for row in rejected] == [
            (2, '{"id":'),
            (4, "[2]"),
            (5, '{"id": 3, "id": 4}'),
        ]
        assert "the key 'id' stands twice" in rejected[2]["reason"]

    def test_without_bad_rows_there_is_no_such_table(self, data: Path, load: Load, lake: Lake) -> None:
        put(data, "a.csv", "id\n1\n")
        assert load({"on_bad_row": "skip"}).success
        assert [name for _, name in lake.catalog().list_tables("raw")].count("src__rejected") == 0

    def test_a_merge_appends_its_rejected_rows(self, data: Path, load: Load, lake: Lake) -> None:
        put(data, "a.csv", "id,v\n1,a\n2\n")
        for _ in range(2):
            assert load({"on_bad_row": "skip"}, write_mode="merge", primary_key="id").success
        assert ids(lake) == [1]
        assert [row["text"] for row in lake.rows("raw.src__rejected")] == ["2", "2"]


class TestColumnsOfFiles:
    @pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet", "arrow"])
    def test_name_time_and_folders(self, data: Path, load: Load, lake: Lake, kind: str) -> None:
        for day, number in (("2024-01-02", 1), ("a%20b", 2)):
            path = put(data, f"day={day}/x.{kind}", b"", None)
            table = pa.table({"id": [number]})
            if kind == "csv":
                path.write_text(f"id\n{number}\n")
            elif kind == "jsonl":
                path.write_text(f'{{"id": {number}}}\n')
            elif kind == "parquet":
                pq.write_table(table, path)
            else:
                feather.write_feather(table, str(path))
            os.utime(path, ns=(MOMENT + number * 1_000, MOMENT + number * 1_000))
        settings = {
            "file_glob": f"**/*.{kind}",
            "file_columns": ["_file_name", "_file_modified"],
            "reader_options": {"hive_partitioning": True, "filename": True},
        }
        assert load(settings).success
        moment = dt.datetime.fromtimestamp(1_700_000_000, dt.UTC)
        assert sorted(lake.rows("raw.src"), key=lambda row: row["id"]) == [
            {
                "id": number,
                "filename": str(data / f"day={folder}/x.{kind}"),
                "day": day,
                "_file_name": f"day={folder}/x.{kind}",
                "_file_modified": moment.replace(microsecond=number),
            }
            for number, folder, day in ((1, "2024-01-02", "2024-01-02"), (2, "a%20b", "a b"))
        ]

    def test_the_name_alone_of_parquet(self, data: Path, load: Load, lake: Lake) -> None:
        """Without further columns such a file is taken in as it is, which would leave this one out."""
        pq.write_table(pa.table({"id": [1]}), data / "a.parquet")
        assert load({"file_columns": ["_file_name"]}).success
        assert lake.rows("raw.src") == [{"id": 1, "_file_name": "a.parquet"}]
        assert load().success
        assert [row["_file_name"] for row in lake.rows("raw.src")].count(None) == 1

    def test_rows_of_a_merge_keep_the_order_of_the_files(self, data: Path, load: Load, lake: Lake) -> None:
        """The last file by name wins, whichever columns it has."""
        for number in range(6):
            header = "id,v,w" if number % 2 else "id,w,v"
            body = "".join(f"{i},{number},{number}\n" for i in range(20_000))
            put(data, f"{number}.csv", f"{header}\n{body}")
        assert load({"file_columns": ["_file_name"]}, write_mode="merge", primary_key="id").success
        found = lake.duckdb("raw.src", "SELECT count(*), min(v), max(v), min(_file_name) FROM t").to_pylist()
        assert list(found[0].values()) == [20_000, 5, 5, "5.csv"]


class TestFormats:
    @pytest.mark.parametrize("kind", ["csv", "jsonl"])
    @pytest.mark.parametrize("ending", ["gz", "bz2", "xz", "zst"])
    def test_packed_files(self, data: Path, load: Load, lake: Lake, kind: str, ending: str) -> None:
        content = b"id\n1\n2\n" if kind == "csv" else b'{"id": 1}\n{"id": 2}\n'
        pack = {
            "gz": gzip.compress,
            "bz2": bz2.compress,
            "xz": lzma.compress,
            "zst": lambda content: pa.compress(content, codec="zstd", asbytes=True),
        }[ending]
        put(data, f"a.{kind}.{ending}", pack(content))
        assert load().success
        assert ids(lake) == [1, 2]
        put(data, f"a.{kind}.{ending}", pack(content * 5_000)[:-5])
        assert f"a.{kind}.{ending} is damaged or cut off" in error_of(load())

    def test_json_arrays_and_objects_over_several_lines(self, data: Path, load: Load, lake: Lake) -> None:
        put(data, "a.json", json.dumps([{"id": 1, "t": "x"}, {"id": 2, "n": [1]}], indent=2))
        put(data, "b.json", '{\n "id": 3\n}\n{\n "id": 4}\n')
        put(data, "c.json", '{"id": 5}\n{"id": 6}\n')
        put(data, "d.json", "[]")
        assert load().success
        assert ids(lake) == [1, 2, 3, 4, 5, 6]
        put(data, "a.json", '[{"id": 1}, {"id": ')
        assert "a.json is no JSON array" in error_of(load())

    @pytest.mark.parametrize("form", ["file", "stream"])
    def test_arrow(self, data: Path, load: Load, lake: Lake, form: str) -> None:
        one = pa.table({"id": pa.array([1], pa.int32()), "d": pa.array(["x"]).dictionary_encode()})
        other = pa.table({"id": pa.array([2**40]), "l": pa.array([[1, 2]])})
        for name, table in (("a.arrow", one), ("b.arrow", other)):
            make = ipc.new_file if form == "file" else ipc.new_stream
            with pa.OSFile(str(data / name), "wb") as sink, make(sink, table.schema) as writer:
                writer.write_table(table)
        assert load().success
        assert sorted(lake.rows("raw.src"), key=lambda row: row["id"]) == [
            {"id": 1, "d": "x", "l": None},
            {"id": 2**40, "d": None, "l": [1, 2]},
        ]
        put(data, "a.arrow", (data / "a.arrow").read_bytes()[:-40] if form == "file" else b"ARR")
        with pytest.raises(floe_ingest.SourceConfigurationError, match=r"a\.arrow is not a whole Arrow file"):
            load()

    def test_nested_values(self, data: Path, load: Load, lake: Lake) -> None:
        rows = [{"id": 1, "n": {"a": 1}, "l": [{"x": 1}, {"x": 2}]}, {"id": 2, "n": {"b": "t"}, "l": []}]
        put(data, "a.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
        load({"nested": "native"}, write_mode="replace")
        assert sorted(lake.rows("raw.src"), key=lambda row: row["id"])[0]["n"] == {"a": 1, "b": None}
        load({"nested": "json"}, destination_table="raw.text")
        texts = {row["id"]: (row["n"], row["l"]) for row in lake.rows("raw.text")}
        assert texts == {1: ('{"a":1}', '[{"x":1},{"x":2}]'), 2: ('{"b":"t"}', "[]")}
        load({"nested": "tables"}, destination_table="raw.parent")
        assert {row["n__a"] for row in lake.rows("raw.parent")} == {1, None}
        assert sorted(row["x"] for row in lake.rows("raw.parent__l")) == [1, 2]

    def test_numbers_with_a_comma(self, data: Path, load: Load, lake: Lake) -> None:
        put(data, "a.csv", "id;x;y;z\n1;1,5;2;1.234,5\n2;-0,25;;7\n")
        options = {"delimiter": ";", "decimal": ",", "types": {"y": "DECIMAL(10,2)"}}
        assert load({"csv": options}).success
        rows = sorted(lake.rows("raw.src"), key=lambda row: row["id"])
        assert [(row["x"], str(row["y"]), row["z"]) for row in rows] == [
            (1.5, "2.00", "1.234,5"),
            (-0.25, "None", "7"),
        ]


class TestWhatASampleDoesNotShow:
    """Each value is held against the sample's types; where one does not fit, all of them decide."""

    FILL = 300_000

    @pytest.mark.parametrize(
        ("usual", "last", "kind"),
        [
            ("1", "007", "string"),
            ("1", "5.7", "double"),
            ("1", "9223372036854775808", "decimal128(38, 0)"),
            ("1", "1_000", "string"),
            ("1", "+5", "string"),
            ("1.5", "1_0.5", "string"),
            ("1.5", "0012.5", "string"),
            ("1.5", "2 ", "string"),
            ("1.5", "0.1234567890123456789", "string"),
            ("1.5", "1e400", "string"),
            ("1.5", "-2e3", "double"),
            ("2024-01-02", "2024-1-2", "string"),
            ("2024-01-02", "2024-02-30", "string"),
            ("2024-01-02", "2024-01-02 03:04", "string"),
            ("2024-01-02T03:04:05Z", "2024-01-02T03:04:05", "string"),
            ("true", "yes", "string"),
            ("", "5", "int64"),
        ],
    )
    def test_in_csv(self, data: Path, load: Load, lake: Lake, usual: str, last: str, kind: str) -> None:
        put(data, "a.csv", "id,x\n" + f"1,{usual}\n" * self.FILL + f"2,{last}\n")
        assert load().success
        found = lake.table("raw.src").scan().to_arrow()
        assert found.num_rows == self.FILL + 1
        assert str(found.schema.field("x").type) == kind
        if kind == "string":
            assert [row["x"] for row in found.filter(pa.compute.field("id") == 2).to_pylist()] == [last]

    @pytest.mark.parametrize(
        ("usual", "last", "expected"),
        [
            ("1", "5.7", 5.7),
            ("1", '"5"', "5"),
            ("1", "true", "true"),
            ("1.5", "9007199254740993", "9007199254740993"),
            ("true", "0", "0"),
            ('"2024-01-02"', '"2024-01-02T03:04:05Z"', "2024-01-02T03:04:05Z"),
            ('"x"', '{"a":1}', '{"a":1}'),
            ("null", "5", 5),
        ],
    )
    def test_in_json(self, data: Path, load: Load, lake: Lake, usual: str, last: str, expected: Any) -> None:
        put(data, "a.jsonl", f'{{"id":1,"x":{usual}}}\n' * self.FILL + f'{{"id":2,"x":{last}}}\n')
        assert load().success
        found = lake.duckdb("raw.src", "SELECT x, count(*) OVER () AS n FROM t QUALIFY id = 2").to_pylist()
        assert found == [{"x": expected, "n": self.FILL + 1}]

    def test_keys_in_json(self, data: Path, load: Load, lake: Lake) -> None:
        put(data, "a.jsonl", '{"id":1}\n' * self.FILL + '{"id":2,"late":"x"}\n{}\n')
        assert load().success
        found = lake.duckdb("raw.src", "SELECT count(*), count(id), count(late) FROM t").to_pylist()
        assert list(found[0].values()) == [self.FILL + 2, self.FILL + 1, 1]


class TestLaterLoads:
    """What a column is, the first load decides: no later file makes a column beside it by its looks alone."""

    @pytest.mark.parametrize("kind", ["csv", "jsonl"])
    def test_text_stays_text(self, kind: str, data: Path, load: Load, lake: Lake) -> None:
        first, later = ({"zip": "0800", "at": "soon"}, {"zip": "8000", "at": "2024-01-02"})
        for name, row in (("a", first), ("b", later)):
            lines = [",".join(row), ",".join(row.values())] if kind == "csv" else [json.dumps(row)]
            put(data, f"{name}.{kind}", "\n".join(lines) + "\n")
            assert load({"file_glob": f"{name}.*"}).success
        assert sorted(lake.duckdb("raw.src").to_pylist(), key=str) == [first, later]

    @pytest.mark.parametrize("kind", ["csv", "jsonl"])
    def test_whole_numbers_go_into_doubles_if_they_fit(
        self, kind: str, data: Path, load: Load, lake: Lake
    ) -> None:
        for name, value in (("a", "0.5"), ("b", "7"), ("c", str(2**53 + 1))):
            put(data, f"{name}.{kind}", f"n\n{value}\n" if kind == "csv" else f'{{"n": {value}}}\n')
            assert load({"file_glob": f"{name}.*"}).success
        rows = lake.duckdb("raw.src").to_pylist()
        assert sorted(row["n"] for row in rows if row["n"] is not None) == [0.5, 7.0]
        assert [row["n__v_bigint"] for row in rows if row["n"] is None] == [2**53 + 1]

    def test_json_of_any_kind_goes_into_text(self, data: Path, load: Load, lake: Lake) -> None:
        put(data, "a.jsonl", '{"v": "x"}\n')
        assert load().success
        for name, value in (("b", "5"), ("c", '{"deep": [1]}'), ("d", "true"), ("e", "null")):
            put(data, f"{name}.jsonl", f'{{"v": {value}}}\n')
            assert load({"file_glob": f"{name}.*"}).success
        values = {str(row["v"]).replace(" ", "") for row in lake.duckdb("raw.src").to_pylist()}
        assert values == {"x", "5", '{"deep":[1]}', "true", "None"}


class TestEmpty:
    def test_an_empty_folder_and_empty_files_are_no_failure(self, data: Path, load: Load) -> None:
        assert load().sources[0].rows_loaded == 0
        put(data, "a.csv", "id,x\n")
        assert load().success

    def test_a_header_alone_makes_a_table_of_text(self, data: Path, load: Load, lake: Lake) -> None:
        put(data, "a.csv", "id,day\n")
        result = load()
        assert [(table.table, table.rows_loaded) for table in result.sources[0].tables] == [("raw.src", 0)]
        kinds = {field.name: str(field.field_type) for field in lake.table("raw.src").schema().fields}
        assert kinds == {"id": "string", "day": "string"}
        put(data, "a.csv", "id,day\n007,2024-01-02\n8,\n")
        assert load().success
        assert lake.duckdb("raw.src").to_pylist() == [
            {"id": "007", "day": "2024-01-02"},
            {"id": "8", "day": None},
        ]

    def test_a_column_without_a_value_is_text(self, data: Path, load: Load, lake: Lake) -> None:
        put(data, "a.csv", "id,note\n1,\n")
        put(data, "b.jsonl", '{"id": 1, "note": null}\n')
        assert load(
            {"tables": {"of_csv": "*.csv", "of_json": "*.jsonl"}}, destination_table="raw.{resource}"
        ).success
        for table in ("raw.of_csv", "raw.of_json"):
            assert str(lake.table(table).schema().find_field("note").field_type) == "string"

    def test_an_empty_parquet_file_makes_its_table(self, data: Path, load: Load, lake: Lake) -> None:
        schema = pa.schema([("id", pa.int64()), ("at", pa.timestamp("us", "UTC"))])
        pq.write_table(schema.empty_table(), data / "a.parquet")
        assert load().sources[0].rows_loaded == 0
        kinds = [str(field.field_type) for field in lake.table("raw.src").schema().fields]
        assert kinds == ["long", "timestamptz"]

    def test_known_columns_make_a_table(self, data: Path, load: Load, lake: Lake) -> None:
        put(data, "a.csv", "id,x\n")
        assert load({"csv": {"types": {"id": "BIGINT", "x": "DATE"}}}).success
        assert [str(field.field_type) for field in lake.table("raw.src").schema().fields] == ["long", "date"]

    def test_a_glob_without_a_match(self, data: Path, load: Load) -> None:
        put(data, "orders.csv", "id\n1\n")
        with pytest.raises(floe_ingest.SourceConfigurationError, match=r"Did you mean 'orders\.csv'"):
            load({"file_glob": "order.csv"})
        assert load({"file_glob": "2024*.csv", "allow_empty": True}).success


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([[None], [1]], "list<long>"),
        ([[None], [{"a": 1}]], "list<struct<4: a: optional long>>"),
        ([[{"a": None}, None], [{"a": 1}]], "list<struct<4: a: optional long>>"),
        ([[[None], [1]], [[2]]], "list<list<long>>"),
        ([[None, 1.5], [2]], "list<double>"),
        ([[None], ["x"]], "list<string>"),
    ],
)
def test_a_null_inside_a_list_changes_neither_type_nor_values(
    lake: Lake, tmp_path: Path, values: list[Any], kind: str
) -> None:
    """Arrow's reader of JSON, by which types are found, loses nulls in lists; DuckDB reads the values."""
    (tmp_path / "data").mkdir()
    lines = [json.dumps({"id": number, "v": value}) for number, value in enumerate(values)]
    (tmp_path / "data" / "a.jsonl").write_text("\n".join(lines))
    lake.folder.mkdir(parents=True, exist_ok=True)
    source = {
        "name": "s",
        "source_type": "filesystem",
        "source_config": {"path": str(tmp_path / "data")},
        "destination_table": "raw.t",
    }
    result = floe_ingest.run(
        floe_ingest.DltIngestionConfig(catalog_config=lake.properties, sources=[source])  # type: ignore[arg-type]
    )
    assert result.success, result
    table = lake.table("raw.t")
    assert str(table.schema().find_field("v").field_type) == kind
    assert [
        row["v"] for row in sorted(table.scan().to_arrow().to_pylist(), key=lambda row: row["id"])
    ] == values
