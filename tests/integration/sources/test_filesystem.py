"""The filesystem source over real files: every value exactly, and every broken file found."""

from __future__ import annotations

import datetime as dt
import gzip
import json
import os
import re
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sources_support import items_of, landed, request_for, scans_of

from floe_ingest import SourceConfigurationError, SourceConnectionError
from floe_ingest_sources import filesystem
from floe_ingest_sources.filesystem import FilesystemConfig

if TYPE_CHECKING:
    from pathlib import Path

UTC = dt.UTC


def put(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def source(folder: Path, **config: Any) -> Any:
    full = FilesystemConfig.model_validate({"path": ".", **config})
    return filesystem.floe_ingest_build_source(request_for("filesystem", full, folder))


def read(folder: Path, **config: Any) -> pa.Table:
    return landed(source(folder, **config))["src"]


def rows(folder: Path, **config: Any) -> list[dict[str, Any]]:
    """Return the rows in the order of files and lines, which a merge alone asks for."""
    full = FilesystemConfig.model_validate({"path": ".", **config})
    request = request_for("filesystem", full, folder, write_mode="merge")
    return landed(filesystem.floe_ingest_build_source(request))["src"].to_pylist()


def zstd(content: bytes) -> bytes:
    packed = pa.compress(content, codec="zstd", asbytes=True)
    assert isinstance(packed, bytes)
    return packed


class TestCsv:
    def test_types_are_those_of_all_values_and_lose_nothing(self, tmp_path: Path) -> None:
        put(
            tmp_path,
            "a.csv",
            "id,amount,price,zip,day,seen,at,ok,big,ambiguous,empty\n"
            "1,0.30000000000000004,12345678901234567.89,01234,2024-02-29,2024-01-02T03:04:05Z,"
            "2024-01-02 03:04:05.123456,true,123456789012345678901,01/02/2024,\n"
            "2,1e3,2,99999,2024-01-01,2024-01-02T03:04:05+02:00,2024-01-02T03:04,FALSE,5,03/04/2024,\n",
        )
        table = read(tmp_path)
        assert table.to_pylist()[0] == {
            "id": 1,
            "amount": 0.30000000000000004,
            "price": "12345678901234567.89",
            "zip": "01234",
            "day": dt.date(2024, 2, 29),
            "seen": dt.datetime(2024, 1, 2, 3, 4, 5, tzinfo=UTC),
            "at": dt.datetime(2024, 1, 2, 3, 4, 5, 123456),
            "ok": True,
            "big": Decimal(123456789012345678901),
            "ambiguous": "01/02/2024",
            "empty": None,
        }
        assert table.to_pylist()[1]["seen"] == dt.datetime(2024, 1, 2, 1, 4, 5, tzinfo=UTC)

    def test_a_type_does_not_change_its_mind_after_a_sample(self, tmp_path: Path) -> None:
        put(tmp_path, "a.csv", "x\n" + "1\n" * 300_000 + "n/a\n")
        table = read(tmp_path)
        assert str(table.schema.field("x").type) == "string"
        assert table.num_rows == 300_001
        assert read(tmp_path, csv={"null_values": ["n/a"]})["x"].null_count == 1

    def test_columns_go_by_name_over_files(self, tmp_path: Path) -> None:
        put(tmp_path, "a.csv", "id,name\n1,one\n")
        put(tmp_path, "b.csv", "name,id,extra\ntwo,2,0.5\n")
        found = sorted(rows(tmp_path), key=lambda row: row["id"])
        assert found == [{"id": 1, "name": "one", "extra": None}, {"id": 2, "name": "two", "extra": 0.5}]

    def test_quotes_line_breaks_and_missing_values(self, tmp_path: Path) -> None:
        put(tmp_path, "a.csv", 'id,t\r\n1,"two\r\nlines, ""q"""\r\n2,\r\n3,""\r\n')
        assert [row["t"] for row in rows(tmp_path)] == ['two\r\nlines, "q"', None, None]

    def test_options_of_the_dialect(self, tmp_path: Path) -> None:
        put(tmp_path, "a.csv", "1;'a;b';31/01/2024;NULL\n".encode("latin-1"))
        put(tmp_path, "b.csv", "2;'é''s';01/02/2024;1\n".encode("latin-1"))
        options = {
            "delimiter": ";",
            "quote": "'",
            "header": False,
            "names": ["id", "t", "day", "n"],
            "encoding": "latin-1",
            "null_values": ["NULL"],
            "date_format": "%d/%m/%Y",
        }
        assert rows(tmp_path, csv=options) == [
            {"id": 1, "t": "a;b", "day": dt.date(2024, 1, 31), "n": None},
            {"id": 2, "t": "é's", "day": dt.date(2024, 2, 1), "n": 1},
        ]

    @pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
    def test_byte_order_marks_are_no_data(self, tmp_path: Path, encoding: str) -> None:
        put(tmp_path, "a.csv", "id,t\n1,é\n".encode(encoding))
        config = {"csv": {"encoding": "utf-16"}} if encoding == "utf-16" else {}
        assert rows(tmp_path, **config) == [{"id": 1, "t": "é"}]

    def test_given_types_are_strict(self, tmp_path: Path) -> None:
        put(tmp_path, "a.csv", "zip,price\n123,1.50\n")
        types = {"zip": "VARCHAR", "price": "decimal(10,2)"}
        assert rows(tmp_path, csv={"types": types}) == [{"zip": "123", "price": Decimal("1.50")}]

    @pytest.mark.parametrize(
        ("kind", "value"),
        [
            ("DECIMAL(10,2)", "1.239"),
            ("BIGINT", "5.7"),
            ("DATE", "2024-01-02 03:04"),
            ("TIMESTAMP", "2024-01-02T03:04:05+02:00"),
            ("TIMESTAMPTZ", "2024-01-02T03:04:05"),
            ("TIME", "10:00:00.1234567"),
            ("BOOLEAN", "maybe"),
            ("UUID", "no"),
        ],
    )
    def test_a_value_that_a_given_type_cannot_hold_stops_the_load(
        self, tmp_path: Path, kind: str, value: str
    ) -> None:
        put(tmp_path, "a.csv", f'x\n\n"{value}"\n')
        words = rf"a\.csv, line 3: column 'x': {re.escape(kind)} cannot hold '{re.escape(value)}' exactly"
        with pytest.raises(SourceConfigurationError, match=words):
            rows(tmp_path, csv={"types": {"x": kind}})

    def test_an_explicit_type_of_an_unknown_column_is_refused(self, tmp_path: Path) -> None:
        put(tmp_path, "a.csv", "price,zip\n1,2\n")
        with pytest.raises(SourceConfigurationError, match=r"no column 'prise'\. Did you mean 'price'"):
            rows(tmp_path, csv={"types": {"prise": "DOUBLE"}})

    @pytest.mark.parametrize(
        ("content", "words"),
        [
            ("a;b;c\n1;2;3\n", "one single column, 'a;b;c'.*delimiter were ';'"),
            ("a\tb\n1\t2\n", "delimiter were"),
            ("", "is empty: a CSV file needs at least its header"),
            ("id,a\n1,2\n3\n", "line 3: 1 fields, and the file has 2 columns"),
            ("id,a\n1,2\n3,4,5\n", "line 3: 3 fields, and the file has 2 columns.*'3,4,5'"),
            ("id,,a\n1,2,3\n", "column 2 has no name"),
            ("id,ID\n1,2\n", "the header has 'ID' twice"),
            ("id,na\xefve\n1,2\n".encode("latin-1"), "not written in utf-8"),
            ("id,t\n1,\xe9\n".encode("latin-1"), "utf-8"),
        ],
    )
    def test_a_file_that_is_not_as_described_is_refused(
        self, tmp_path: Path, content: str | bytes, words: str
    ) -> None:
        put(tmp_path, "a.csv", content)
        with pytest.raises(SourceConfigurationError, match=words) as caught:
            rows(tmp_path)
        assert "a.csv" in str(caught.value)

    def test_headers_that_differ_in_case_are_refused(self, tmp_path: Path) -> None:
        put(tmp_path, "a.csv", "id,x\n1,2\n")
        put(tmp_path, "b.csv", "ID,x\n1,2\n")
        with pytest.raises(SourceConfigurationError, match=r"calls a column 'id' and .* calls it 'ID'"):
            rows(tmp_path)

    def test_a_header_alone_gives_no_row(self, tmp_path: Path) -> None:
        put(tmp_path, "a.csv", "id,x\n")
        assert rows(tmp_path) == []
        put(tmp_path, "b.csv", "id,x\n1,2\n")
        assert rows(tmp_path) == [{"id": 1, "x": 2}]


class TestCompressed:
    CSV = b"id,a\n" + b"".join(b"%d,%d\n" % (i, i * 7) for i in range(50_000))
    JSONL = b"".join(b'{"id": %d}\n' % i for i in range(50_000))

    @pytest.mark.parametrize("ending", ["gz", "zst"])
    @pytest.mark.parametrize("kind", ["csv", "jsonl"])
    def test_whole_ones_are_read(self, tmp_path: Path, kind: str, ending: str) -> None:
        content = self.CSV if kind == "csv" else self.JSONL
        packed = gzip.compress(content) if ending == "gz" else zstd(content)
        put(tmp_path, f"a.{kind}.{ending}", packed)
        assert read(tmp_path).num_rows == 50_000

    @pytest.mark.parametrize("cut", [4, 9, 2000])
    @pytest.mark.parametrize("ending", ["gz", "zst"])
    @pytest.mark.parametrize("kind", ["csv", "jsonl"])
    def test_cut_off_ones_are_refused(self, tmp_path: Path, kind: str, ending: str, cut: int) -> None:
        content = self.CSV if kind == "csv" else self.JSONL
        packed = gzip.compress(content) if ending == "gz" else zstd(content)
        put(tmp_path, f"a.{kind}.{ending}", packed[:-cut])
        with pytest.raises(SourceConnectionError, match=f"a.{kind}.{ending} is damaged or cut off"):
            read(tmp_path)

    def test_damaged_ones_are_refused(self, tmp_path: Path) -> None:
        packed = bytearray(gzip.compress(self.CSV))
        packed[len(packed) // 2] ^= 0xFF
        put(tmp_path, "a.csv.gz", bytes(packed))
        with pytest.raises((SourceConnectionError, SourceConfigurationError), match=r"a\.csv\.gz"):
            read(tmp_path)

    def test_members_one_after_another_are_one_file(self, tmp_path: Path) -> None:
        put(tmp_path, "a.csv.gz", gzip.compress(b"id,a\n1,2\n") + gzip.compress(b"3,4\n"))
        assert rows(tmp_path) == [{"id": 1, "a": 2}, {"id": 3, "a": 4}]


class TestJsonLines:
    def write(self, folder: Path, *records: Any, name: str = "a.jsonl") -> None:
        put(folder, name, "".join(json.dumps(record) + "\n" for record in records))

    def test_values_come_exactly(self, tmp_path: Path) -> None:
        self.write(
            tmp_path,
            {
                "id": 9007199254740993,
                "x": 0.30000000000000004,
                "big": 123456789012345678901,
                "seen": "2024-01-02T03:04:05Z",
                "at": "2024-01-02T03:04:05.5",
                "day": "2024-01-02",
                "code": "0012",
                "ok": True,
                "n": {"a": 1, "when": "2024-01-02T03:04:05Z", "l": [1, 2]},
                "mixed": 1,
                "odd": {"a": 1},
                "nothing": None,
                "nested_nothing": {"deep": {}},
            },
            {
                "id": 2,
                "x": 1,
                "big": 5,
                "seen": "2024-01-02T03:04:05+02:00",
                "mixed": "x",
                "odd": [1],
                "n": {"b": 2.5},
            },
        )
        table = read(tmp_path)
        first, second = table.to_pylist()
        assert first == {
            "id": 9007199254740993,
            "x": 0.30000000000000004,
            "big": Decimal(123456789012345678901),
            "seen": dt.datetime(2024, 1, 2, 3, 4, 5, tzinfo=UTC),
            "at": dt.datetime(2024, 1, 2, 3, 4, 5, 500000),
            "day": dt.date(2024, 1, 2),
            "code": "0012",
            "ok": True,
            "n": {"a": 1, "when": "2024-01-02T03:04:05Z", "l": [1, 2], "b": None},
            "mixed": "1",
            "odd": '{"a":1}',
            "nothing": None,
            "nested_nothing": '{"deep":{}}',
        }
        assert second["seen"] == dt.datetime(2024, 1, 2, 1, 4, 5, tzinfo=UTC)
        assert (second["mixed"], second["odd"], second["n"]["b"]) == ("x", "[1]", 2.5)

    def test_rows_of_a_merge_keep_their_order(self, tmp_path: Path) -> None:
        for name in ("b", "a"):
            self.write(tmp_path, *({"f": name, "i": i} for i in range(100_000)), name=f"{name}.jsonl")
        found = rows(tmp_path)
        assert found == [{"f": name, "i": i} for name in ("a", "b") for i in range(100_000)]
        assert not scans_of(source(tmp_path))["src"].ordered

    def test_columns_stand_in_the_order_of_the_file(self, tmp_path: Path) -> None:
        self.write(tmp_path, *[{"id": 1, "t": "x" * 50, "at": "2024-01-02T03:04:05Z", "n": 1}] * 5_000)
        table = read(tmp_path)
        assert table.column_names == ["id", "t", "at", "n"]
        assert str(table.schema.field("at").type) == "timestamp[us, tz=UTC]"

    @pytest.mark.parametrize(
        ("values", "expected"),
        [
            ([9007199254740993, 1.5], ["9007199254740993", "1.5"]),
            ([2**63, -1], [Decimal(2**63), Decimal(-1)]),
            ([2**64 + 1, 1.5], ["18446744073709551617", "1.5"]),
            ([{"a": 2**53 + 1}, {"a": 1.5}], ['{"a":9007199254740993}', '{"a":1.5}']),
            ([2**53, 2**53 + 1], [2**53, 2**53 + 1]),
            ([True, 1], ["true", "1"]),
            (
                ["2024-01-02T03:04:05Z", "2024-01-02T03:04:05"],
                ["2024-01-02T03:04:05Z", "2024-01-02T03:04:05"],
            ),
            (["2024-01-02", "soon"], ["2024-01-02", "soon"]),
            (["2024-01-02T03:04:05Z", 5], ["2024-01-02T03:04:05Z", "5"]),
            ([[], [1]], [[], [1]]),
        ],
    )
    def test_no_value_is_changed_by_its_neighbours(
        self, tmp_path: Path, values: list[Any], expected: list[Any]
    ) -> None:
        self.write(tmp_path, *({"v": value} for value in values))
        assert [row["v"] for row in rows(tmp_path)] == expected
        for number, value in enumerate(values):
            self.write(tmp_path, {"v": value}, name=f"b{number}.jsonl")
        assert [row["v"] for row in rows(tmp_path, file_glob="b*")] == expected

    def test_keys_that_come_late_are_columns(self, tmp_path: Path) -> None:
        self.write(tmp_path, *[{"a": 1}] * 200_000, {"b": "x"})
        table = read(tmp_path)
        assert (table.column_names, table.num_rows) == (["a", "b"], 200_001)

    @pytest.mark.parametrize(
        ("content", "words"),
        [
            ('{"id": 1}\n\n{"id":\n', "line 3: not a line of JSON lines"),
            ('{"id": 1}\n[{"id": 2}]\n', "line 2: .* it is a list"),
            ('{"id": 1}\n7\n', "line 2: .* the value '7'"),
            ('{"id": 1, "id": 2}\n', "line 1: .*the key 'id' stands twice"),
            ('{"id": 1, "ID": 2}\n', "'id' and 'ID' have the same name"),
        ],
    )
    def test_a_broken_line_is_named(self, tmp_path: Path, content: str, words: str) -> None:
        put(tmp_path, "a.jsonl", content)
        with pytest.raises(SourceConfigurationError, match=words):
            rows(tmp_path)

    def test_a_long_line_is_read(self, tmp_path: Path) -> None:
        self.write(tmp_path, {"t": "x" * 20_000_000}, {"t": "y"})
        assert [len(row["t"]) for row in rows(tmp_path)] == [20_000_000, 1]

    def test_an_empty_file_gives_nothing(self, tmp_path: Path) -> None:
        put(tmp_path, "a.jsonl", "\n")
        assert list(items_of(source(tmp_path))) == []

    def test_the_last_line_may_lack_its_end(self, tmp_path: Path) -> None:
        put(tmp_path, "a.ndjson", '{"id": 1}\n{"id": 2}')
        assert rows(tmp_path) == [{"id": 1}, {"id": 2}]


class TestParquet:
    def test_files_are_matched_by_name(self, tmp_path: Path) -> None:
        pq.write_table(pa.table({"id": [1], "price": pa.array([Decimal("1.25")])}), tmp_path / "a.parquet")
        pq.write_table(pa.table({"extra": ["x"], "id": [2]}), tmp_path / "b.parquet")
        assert sorted(rows(tmp_path), key=lambda row: row["id"]) == [
            {"id": 1, "price": Decimal("1.25"), "extra": None},
            {"id": 2, "price": None, "extra": "x"},
        ]

    def test_wider_integers_are_fine_and_other_types_refused(self, tmp_path: Path) -> None:
        pq.write_table(pa.table({"x": pa.array([1], pa.int32())}), tmp_path / "a.parquet")
        pq.write_table(pa.table({"x": pa.array([2**40], pa.int64())}), tmp_path / "b.parquet")
        assert sorted(row["x"] for row in rows(tmp_path)) == [1, 2**40]
        pq.write_table(pa.table({"x": [1.5]}), tmp_path / "c.parquet")
        with pytest.raises(SourceConfigurationError, match=r"Column 'x' is int32 in .* and double in"):
            rows(tmp_path)

    @pytest.mark.parametrize("content", [b"", b"PAR1 cut off"])
    def test_a_file_that_is_none_is_refused(self, tmp_path: Path, content: bytes) -> None:
        put(tmp_path, "a.parquet", content)
        with pytest.raises(SourceConfigurationError, match=r"a\.parquet is not a whole Parquet file"):
            rows(tmp_path)

    def test_partition_folders_are_columns_only_if_wished(self, tmp_path: Path) -> None:
        (tmp_path / "day=2024-01-02").mkdir()
        pq.write_table(pa.table({"x": [1]}), tmp_path / "day=2024-01-02" / "a.parquet")
        assert rows(tmp_path, file_glob="**/*.parquet") == [{"x": 1}]
        options = {"hive_partitioning": True, "filename": True}
        (row,) = rows(tmp_path, file_glob="**/*.parquet", reader_options=options)
        assert row.pop("filename").endswith("day=2024-01-02/a.parquet")
        assert row == {"x": 1, "day": "2024-01-02"}


class TestReaderOptions:
    @pytest.mark.parametrize(("name", "content"), [("a.csv", "x\n1\n"), ("a.jsonl", '{"x": 1}\n')])
    def test_they_work_for_text_too(self, tmp_path: Path, name: str, content: str) -> None:
        put(tmp_path, f"k=v/{name}", content)
        options = {"hive_partitioning": True, "filename": True}
        (row,) = rows(tmp_path, file_glob=f"**/{name}", reader_options=options)
        assert row.pop("filename").endswith(f"k=v/{name}")
        assert row == {"x": 1, "k": "v"}
        put(tmp_path, name, content)
        with pytest.raises(SourceConfigurationError, match="all files must have the same"):
            rows(tmp_path, file_glob=f"**/{name}", reader_options=options)

    def test_a_column_of_that_name_is_refused(self, tmp_path: Path) -> None:
        put(tmp_path, "a.csv", "filename\n1\n")
        with pytest.raises(SourceConfigurationError, match="adds a column 'filename'"):
            rows(tmp_path, reader_options={"filename": True})


class TestFiles:
    def test_a_resource_for_each_table(self, tmp_path: Path) -> None:
        put(tmp_path, "orders-1.csv", "id\n1\n")
        put(tmp_path, "orders-2.csv", "id\n2\n")
        put(tmp_path, "events.jsonl", '{"e": 1}\n')
        pq.write_table(pa.table({"i": [1]}), tmp_path / "items.parquet")
        tables = {"orders": "orders*.csv", "events": "*.jsonl", "items": "items.parquet"}
        found = landed(source(tmp_path, tables=tables))
        assert {name: table.num_rows for name, table in found.items()} == {
            "orders": 2,
            "events": 1,
            "items": 1,
        }

    def test_names_with_wildcards_are_names(self, tmp_path: Path) -> None:
        put(tmp_path, "a[1].csv", "id\n1\n")
        put(tmp_path, "a1.csv", "id\n2\n")
        put(tmp_path, "b*?.csv", "id\n3\n")
        put(tmp_path, "bxy.csv", "id\n4\n")
        assert rows(tmp_path, file_glob="*[[*]*.csv") == [{"id": 1}, {"id": 3}]

    def test_files_are_sorted_and_hidden_ones_left_out(self, tmp_path: Path) -> None:
        for name in ("b.csv", "a.csv", "_SUCCESS", ".x.csv", "_tmp/c.csv"):
            put(tmp_path, name, "id\n1\n")
        (scan,) = scans_of(source(tmp_path, file_glob="**/*")).values()
        assert [os.path.basename(path) for path in scan.parameters[0]] == ["a.csv", "b.csv"]  # noqa: PTH119

    def test_a_file_url_and_a_format(self, tmp_path: Path) -> None:
        put(tmp_path, "my data/x.txt", "id\n1\n")
        url = (tmp_path / "my data").as_uri()
        assert rows(tmp_path, path=url, format="csv") == [{"id": 1}]

    @pytest.mark.parametrize("name", ["orders.csv", "a [1]*.csv", "plain"])
    def test_one_file(self, tmp_path: Path, name: str) -> None:
        put(tmp_path, f"data/{name}", "id\n1\n")
        put(tmp_path, "data/other.csv", "id\n2\n")
        for path in (f"data/{name}", (tmp_path / "data" / name).as_uri()):
            assert rows(tmp_path, path=path, format="csv") == [{"id": 1}]

    def test_storage_options_of_a_local_folder_are_refused(self, tmp_path: Path) -> None:
        with pytest.raises(SourceConfigurationError, match="storage_options is for remote storage") as caught:
            source(tmp_path, storage_options={"key": "hunter2"})
        assert "hunter2" not in str(caught.value)

    @pytest.mark.parametrize(
        ("config", "words"),
        [
            ({"path": "dtaa"}, r"no folder 'dtaa'.*Did you mean 'data'\?.*has the folders: data"),
            (
                {"path": "data/a.csv", "file_glob": "*.csv"},
                r"is a file, so .* Leave file_glob and tables out",
            ),
            (
                {"path": "data", "file_glob": "b.csv"},
                r"no file .* matches 'b\.csv'\. Did .* 'a\.csv'\?",
            ),
            ({"path": "data", "file_glob": "../*"}, "must be relative to the folder and stay inside"),
            (
                {"path": "data", "tables": {"x": "*.parquet"}},
                r"tables\.x: no .*There are: a\.csv, b\.jsonl, c\.txt",
            ),
            (
                {"path": "data", "file_glob": "c*"},
                r"format of c\.txt in .*data cannot.*\.parquet, \.csv",
            ),
            (
                {"path": "data", "file_glob": "[ab]*"},
                r"several .*1 csv, 1 jsonl.*tables: \{a: 'a\.csv'\}",
            ),
        ],
    )
    def test_what_is_wrong_is_said_with_what_is_there(
        self, tmp_path: Path, config: dict[str, Any], words: str
    ) -> None:
        put(tmp_path, "data/a.csv", "id\n1\n")
        put(tmp_path, "data/b.jsonl", '{"id": 1}\n')
        put(tmp_path, "data/c.txt", "x")
        with pytest.raises(SourceConfigurationError, match=words):
            source(tmp_path, **config)

    def test_a_file_that_went_away_is_an_error(self, tmp_path: Path) -> None:
        for name, content in (("a.csv", "id\n1\n"), ("a.jsonl", '{"id": 1}\n')):
            path = put(tmp_path, name, content)
            built = source(tmp_path, file_glob=name)
            path.unlink()
            with pytest.raises(SourceConnectionError, match="cannot be read"):
                landed(built)


def test_the_check_lists_groups(tmp_path: Path) -> None:
    put(tmp_path, "a.csv", "id,x\n1,2\n")
    put(tmp_path, "b.csv", "id,y\n1,2\n")
    put(tmp_path, "c.jsonl", '{"id": 1}\n')
    pq.write_table(pa.table({"i": [1, 2, 3]}), tmp_path / "d.parquet")
    config = FilesystemConfig(path=".", tables={"t": "*.csv", "j": "*.jsonl", "p": "*.parquet"})
    found = filesystem.floe_ingest_check_source(request_for("filesystem", config, tmp_path))
    assert [(one.name, one.columns, one.estimated_rows, one.detail) for one in found.resources] == [
        ("t", ("id", "x", "y"), None, "2 csv files, 18 B"),
        ("j", ("id",), None, "1 jsonl file, 10 B"),
        ("p", ("i",), 3, f"1 parquet file, {(tmp_path / 'd.parquet').stat().st_size} B"),
    ]
