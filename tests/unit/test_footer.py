"""Field ids go into Parquet footers of any form, and nothing that is no footer is taken for one."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from floe_ingest.destination.footer import MAGIC, Footer, FooterError, closed
from floe_ingest.destination.foreign import take_in
from floe_ingest.destination.layout import iceberg_schema

if TYPE_CHECKING:
    from pathlib import Path

TABLE = pa.table(
    {
        "id": [1, 2],
        "x": [1.5, float("nan")],
        "place": [{"name": "a", "more": [{"z": 1.5}]}, None],
        "tags": pa.array([[("k", 1)], []], pa.map_(pa.string(), pa.int64())),
    }
)


def write(path: Path, table: pa.Table = TABLE, **options: object) -> Path:
    pq.write_table(table, path, **options)
    return path


def read_footer(data: bytes) -> pq.FileMetaData:
    return pq.read_metadata(io.BytesIO(MAGIC + closed(data)))


def test_elements_get_ids_by_their_path(tmp_path: Path) -> None:
    footer = Footer.read(write(tmp_path / "a.parquet"))
    ids = {
        ("id",): 7,
        ("x",): 200,
        ("place",): 70_000,
        ("place", "name"): 9,
        ("place", "more", "list", "element", "z"): 2_000_000_000,
        ("tags", "key_value", "value"): 12,
    }
    schema = read_footer(footer.with_field_ids(ids)).schema
    text = " ".join(str(schema).split())
    for piece in (
        "optional int64 field_id=7 id;",
        "optional double field_id=200 x;",
        "optional group field_id=70000 place {",
        "optional binary field_id=9 name (String);",
        "optional double field_id=2000000000 z;",
        "optional int64 field_id=12 value;",
        "required binary field_id=-1 key (String);",
    ):
        assert piece in text


def test_ids_that_were_there_go(tmp_path: Path) -> None:
    field = pa.field("id", pa.int64(), metadata={"PARQUET:field_id": "99"})
    footer = Footer.read(write(tmp_path / "a.parquet", pa.table({"id": [1]}, schema=pa.schema([field]))))

    assert "99" not in str(read_footer(footer.with_field_ids({("id",): 3})).schema)
    assert "field_id=-1 id" in str(read_footer(footer.with_field_ids({})).schema)


def test_all_else_stays(tmp_path: Path) -> None:
    table = TABLE.replace_schema_metadata({"made_by": "somebody"})
    path = write(tmp_path / "a.parquet", table, write_page_index=True, compression="gzip")
    before, after = pq.read_metadata(path), read_footer(Footer.read(path).with_field_ids({}))

    assert after.metadata == {b"made_by": b"somebody"}
    assert (after.num_rows, after.created_by, after.format_version) == (2, before.created_by, "2.6")
    for position in range(before.num_columns):
        old, new = (m.row_group(0).column(position).to_dict() for m in (before, after))
        if old["physical_type"] == "DOUBLE":
            assert not new["statistics"]["has_min_max"]
            assert new["statistics"]["null_count"] == old["statistics"]["null_count"]
            for key in ("statistics", "has_column_index"):
                old.pop(key, None), new.pop(key, None)
        assert new == old


def test_a_thousand_columns(tmp_path: Path) -> None:
    table = pa.table({f"column {n}": [n] for n in range(1000)})
    footer = Footer.read(write(tmp_path / "a.parquet", table))
    metadata = read_footer(footer.with_field_ids({(name,): n for n, name in enumerate(table.column_names)}))

    arrow = metadata.schema.to_arrow_schema()
    assert [int(field.metadata[b"PARQUET:field_id"]) for field in arrow] == list(range(1000))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"PAR1",
        b"PAR1PAR1",
        b"PAR1\xff\xff\xff\x7fPAR1",
        b"PAR1" + b"\0" * 100 + b"PARE",
        b"id\n1\n2\n3\n4\n",
    ],
    ids=["empty", "magic", "no length", "longer than the file", "encrypted footer", "text"],
)
def test_what_is_no_parquet_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    path.write_bytes(content)
    with pytest.raises(FooterError):
        Footer.read(path).with_field_ids({})


@pytest.fixture(scope="module")
def footer(tmp_path_factory: pytest.TempPathFactory) -> Footer:
    return Footer.read(write(tmp_path_factory.mktemp("footer") / "a.parquet"))


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_a_damaged_footer_ends_in_one_error(footer: Footer, data: st.DataObject) -> None:
    """Whatever a footer holds: it is changed or refused, with nothing in between."""
    content = bytearray(footer.data)
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    kept = bytes(content[: data.draw(st.integers(1, len(content)))])
    try:
        changed = Footer(4, kept).with_field_ids({("id",): 1})
    except FooterError:
        return
    assert changed


def test_pages_beyond_the_file_are_refused(tmp_path: Path) -> None:
    """A file that lost its middle and kept its footer."""
    table = pa.table({"id": range(10_000)})
    content = write(tmp_path / "a.parquet", table, use_dictionary=False).read_bytes()
    start = Footer.read(tmp_path / "a.parquet").start
    cut = tmp_path / "cut.parquet"
    cut.write_bytes(content[: start // 2] + content[start:])

    assert take_in(tmp_path / "a.parquet", iceberg_schema(table.schema), tmp_path / "landing")
    assert take_in(cut, iceberg_schema(table.schema), tmp_path / "landing") is None
