"""The write step: it pickles, adopts what fits, and rewrites what does not."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyiceberg.io.pyarrow import PyArrowFileIO

from floe_ingest.destination.adopt import fits
from floe_ingest.destination.layout import iceberg_schema
from floe_ingest.destination.write import WriteTask, write_data_files

if TYPE_CHECKING:
    from pathlib import Path

COLUMNS = pa.schema([("id", pa.int64()), ("name", pa.string()), ("tags", pa.list_(pa.string()))])


def with_ids(schema: pa.Schema, ids: list[int], element: int = 4) -> pa.Schema:
    def tagged(field: pa.Field, number: int) -> pa.Field:
        return field.with_metadata({"PARQUET:field_id": str(number)})

    fields = []
    for field, number in zip(schema, ids, strict=True):
        if pa.types.is_list(field.type):
            inner = tagged(pa.field("element", field.type.value_type), element)
            fields.append(tagged(pa.field(field.name, pa.list_(inner)), number))
        else:
            fields.append(tagged(field, number))
    return pa.schema(fields)


def parquet(path: Path, schema: pa.Schema) -> Path:
    rows = [
        pa.array([1, 2], schema.field("id").type),
        pa.array(["a", None]),
        pa.array([["x"], []], schema.field("tags").type),
    ]
    pq.write_table(pa.table(rows, schema=schema), path)
    return path


def task(path: Path, folder: Path) -> WriteTask:
    return WriteTask(
        inputs=(path,),
        schema=iceberg_schema(COLUMNS),
        table_location=f"file://{folder}/table",
        table_properties={},
        io=PyArrowFileIO({"s3.secret-access-key": "s3cr3t"}),
        scratch=folder / "scratch",
    )


def test_a_file_that_fits_is_adopted_without_a_copy(tmp_path: Path) -> None:
    path = parquet(tmp_path / "in.parquet", with_ids(COLUMNS, [1, 2, 3]))

    written = write_data_files(task(path, tmp_path))

    [data_file] = written.data_files
    adopted = data_file.file_path.removeprefix("file://")
    assert path.samefile(adopted)
    assert (written.rows, written.bytes) == (2, path.stat().st_size)


@pytest.mark.parametrize(
    "schema",
    [
        COLUMNS,
        with_ids(COLUMNS, [2, 1, 3]),
        with_ids(COLUMNS, [1, 2, 3], element=9),
        with_ids(COLUMNS.set(0, pa.field("id", pa.int32())), [1, 2, 3]).append(
            pa.field("unknown", pa.int64(), metadata={"PARQUET:field_id": "7"})
        ),
    ],
    ids=["no ids", "swapped ids", "wrong nested id", "unknown column"],
)
def test_a_file_that_does_not_fit_is_refused(tmp_path: Path, schema: pa.Schema) -> None:
    file = tmp_path / "in.parquet"
    pq.write_table(schema.empty_table(), file)

    assert not fits(pq.read_metadata(file), iceberg_schema(COLUMNS))


def test_a_narrower_integer_fits(tmp_path: Path) -> None:
    schema = with_ids(COLUMNS.set(0, pa.field("id", pa.int32())), [1, 2, 3])
    file = tmp_path / "in.parquet"
    pq.write_table(schema.empty_table(), file)

    assert fits(pq.read_metadata(file), iceberg_schema(COLUMNS))


def test_nanoseconds_do_not_fit(tmp_path: Path) -> None:
    file = tmp_path / "in.parquet"
    field = pa.field("at", pa.timestamp("ns"), metadata={"PARQUET:field_id": "1"})
    pq.write_table(pa.schema([field]).empty_table(), file)

    assert not fits(pq.read_metadata(file), iceberg_schema(pa.schema([("at", pa.timestamp("us"))])))


def test_a_rewritten_file_carries_the_tables_ids(tmp_path: Path) -> None:
    path = parquet(tmp_path / "in.parquet", COLUMNS)

    [data_file] = write_data_files(task(path, tmp_path)).data_files

    written = data_file.file_path.removeprefix("file://")
    assert fits(pq.read_metadata(written), iceberg_schema(COLUMNS))
    assert pq.read_table(written).to_pylist() == pq.read_table(path).to_pylist()


def test_a_task_and_its_result_pickle_and_hide_secrets(tmp_path: Path) -> None:
    work = task(parquet(tmp_path / "in.parquet", COLUMNS), tmp_path)

    again = pickle.loads(pickle.dumps(work))  # noqa: S301
    written = pickle.loads(pickle.dumps(write_data_files(again)))  # noqa: S301

    assert written.rows == 2
    assert written.data_files[0].lower_bounds
    assert "s3cr3t" not in repr(work)


def test_many_small_files_become_one(tmp_path: Path) -> None:
    paths = tuple(parquet(tmp_path / f"{n}.parquet", with_ids(COLUMNS, [1, 2, 3])) for n in range(50))
    work = task(paths[0], tmp_path)

    written = write_data_files(
        WriteTask(paths, work.schema, work.table_location, {}, work.io, scratch=work.scratch)
    )

    assert len(written.data_files) == 1
    assert written.rows == 100
