"""``schema_contract`` where objects and lists become tables: it counts for these as well."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from rest_support import Answer, serving

import floe_ingest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from conftest import Lake
    from rest_support import Api

ONE = {"id": 1, "lines": [{"sku": "a", "count": 1}]}
NEW_COLUMN = {"id": 2, "lines": [{"sku": "b", "count": 2, "price": 3}]}
OTHER_TYPE = {"id": 2, "lines": [{"sku": "b", "count": "two"}]}
NEW_TABLE = {"id": 2, "lines": [{"sku": "b", "count": 2}], "tags": ["x"]}
NEW_TABLE_BELOW = {"id": 2, "lines": [{"sku": "b", "count": 2, "parts": [{"p": 1}]}]}


@pytest.fixture
def api() -> Iterator[Api]:
    with serving() as api:
        yield api


class Loader:
    """Loads the same objects from a file and from an API."""

    def __init__(self, kind: str, api: Api, lake: Lake, folder: Path) -> None:
        self.kind = kind
        self.api = api
        self.lake = lake
        self.folder = folder
        self.contract: Any = "freeze"
        self.extra: dict[str, Any] = {}

    def source(self, objects: list[dict[str, Any]]) -> dict[str, Any]:
        if self.kind == "filesystem":
            (self.folder / "data").mkdir(exist_ok=True)
            lines = [text if isinstance(text, str) else json.dumps(text) for text in objects]
            (self.folder / "data" / "orders.jsonl").write_text("\n".join(lines))
            return {"path": str(self.folder / "data"), "nested": "tables", **self.extra}
        self.api.routes["/orders"] = [Answer(objects)]
        return {"client": {"base_url": self.api.url, "paginator": "single_page"}, "resources": ["orders"]}

    def load(self, *objects: Any) -> Any:
        self.lake.folder.mkdir(parents=True, exist_ok=True)
        document = {
            "catalog_config": self.lake.properties,
            "retry_config": {"max_retries": 0},
            "sources": [
                {
                    "name": "orders",
                    "source_type": self.kind,
                    "source_config": self.source(list(objects)),
                    "destination_table": "raw.orders",
                    "schema_contract": self.contract,
                }
            ],
        }
        (self.folder / "ingest.yaml").write_text(json.dumps(document))
        [result] = floe_ingest.run(floe_ingest.load_config(self.folder / "ingest.yaml")).sources
        return result

    def loaded(self, *objects: Any) -> None:
        result = self.load(*objects)
        assert result.success, result.errors

    def columns(self, table: str) -> set[str]:
        names = (field.name for field in self.lake.table(table).schema().fields)
        return {name for name in names if not name.startswith("_dlt")}


@pytest.fixture(params=["filesystem", "rest_api"])
def loader(request: pytest.FixtureRequest, api: Api, lake: Lake, tmp_path: Path) -> Loader:
    return Loader(request.param, api, lake, tmp_path)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (NEW_COLUMN, "Table orders__lines is frozen"),
        (OTHER_TYPE, "Table orders__lines is frozen"),
        (NEW_TABLE, "Table orders__tags is new"),
        (NEW_TABLE_BELOW, "Table orders__lines__parts is new"),
        ({"id": 2, "more": 1}, "Table orders is frozen"),
    ],
)
def test_frozen_tables_refuse_what_is_new_in_a_child(
    loader: Loader, change: dict[str, Any], words: str
) -> None:
    loader.loaded(ONE)
    before = loader.lake.table("raw.orders__lines").metadata_location
    result = loader.load(change)
    assert not result.success
    assert words in result.errors[0].message
    assert len(loader.lake.rows("raw.orders")) == 1
    assert loader.lake.table("raw.orders__lines").metadata_location == before
    loader.loaded({"id": 3, "lines": [{"sku": "c", "count": 3}]})
    assert len(loader.lake.rows("raw.orders__lines")) == 2


@pytest.mark.parametrize("contract", ["freeze", "discard_value", {"columns": "discard_row"}])
def test_new_tables_come_with_all_their_columns(loader: Loader, contract: Any) -> None:
    """Also where the second child row has a column that the first lacks."""
    loader.contract = contract
    loader.loaded(ONE, NEW_COLUMN, NEW_TABLE)
    assert loader.columns("raw.orders__lines") == {"sku", "count", "price"}
    rows = loader.lake.rows("raw.orders__lines")
    assert sorted((row["sku"], row["price"] or 0) for row in rows) == [("a", 0), ("b", 0), ("b", 3)]
    assert [row["value"] for row in loader.lake.rows("raw.orders__tags")] == ["x"]


def test_values_that_do_not_fit_a_child_are_left_out(loader: Loader) -> None:
    loader.contract = "discard_value"
    loader.loaded(ONE)
    loader.loaded(NEW_COLUMN, {**OTHER_TYPE, "id": 3}, {**NEW_TABLE, "id": 4})
    assert loader.columns("raw.orders__lines") == {"sku", "count"}
    counts = [row["count"] for row in loader.lake.rows("raw.orders__lines")]
    assert sorted(count or 0 for count in counts) == [0, 1, 2, 2]
    assert not loader.lake.catalog().table_exists("raw.orders__tags")


def test_child_rows_with_new_columns_are_left_out(loader: Loader) -> None:
    loader.contract = {"columns": "discard_row"}
    loader.loaded(ONE)
    loader.loaded(NEW_COLUMN, NEW_TABLE)
    assert sorted(row["sku"] for row in loader.lake.rows("raw.orders__lines")) == ["a", "b"]
    assert loader.columns("raw.orders__lines") == {"sku", "count"}
    assert len(loader.lake.rows("raw.orders")) == 3


def test_rows_that_cannot_be_read_have_a_table_under_each_contract(
    api: Api, lake: Lake, tmp_path: Path
) -> None:
    loader = Loader("filesystem", api, lake, tmp_path)
    loader.extra = {"on_bad_row": "skip"}
    loader.loaded(ONE)
    loader.loaded({**ONE, "id": 2}, "{broken")
    assert [row["text"] for row in lake.rows("raw.orders__rejected")] == ["{broken"]
    assert len(lake.rows("raw.orders")) == 2
