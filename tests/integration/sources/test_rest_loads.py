"""REST pages all the way into Iceberg tables, read back by pyiceberg and DuckDB."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from rest_support import Answer, Api, Asked, pages, serving

import floe_ingest
from floe_ingest import DltIngestionConfig, RunResult, SourceConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conftest import Lake

PAGED = {"type": "page_number", "base_page": 1, "total_path": None, "has_more_path": "more"}


@pytest.fixture
def api() -> Iterator[Api]:
    with serving() as made:
        yield made


def config(api: Api, lake: Lake, *resources: Any, table: Any = None, **options: Any) -> DltIngestionConfig:
    return DltIngestionConfig(
        catalog_config={"name": "default", **lake.properties},
        retry_config={"max_retries": 0},
        sources=[
            {
                "name": "shop",
                "source_type": "rest_api",
                "source_config": {
                    "client": {"base_url": api.url, "paginator": PAGED},
                    "resource_defaults": {"endpoint": {"data_selector": "data"}},
                    "resources": list(resources) or ["orders"],
                    "max_retries": 0,
                    **options,
                },
                "destination_table": "raw.{resource}",
                **(table or {}),
            }
        ],
    )


def run(made: DltIngestionConfig) -> RunResult:
    result = floe_ingest.run(made)
    assert result.success, result
    return result


def order(number: int) -> dict[str, Any]:
    return {
        "id": number,
        "price": number if number % 2 else number / 4,
        "at": f"2024-01-{number + 1:02d}T08:00:00Z",
        "paid": number % 3 == 0,
        "buyer": {"name": f"b{number}", "address": {"city": "Bern", "zip": 3000 + number}},
        "lines": [{"sku": f"s{line}", "n": line} for line in range(number % 4)],
        "tags": ["x"] * (number % 2),
        "note": None,
    }


ORDERS = [order(number) for number in range(25)]


class TestNative:
    def test_nested_values_are_nested_columns(self, api: Api, lake: Lake) -> None:
        api.routes["/orders"] = pages(ORDERS, 4)
        result = run(config(api, lake, nested="native", timestamps=["at"]))
        assert result.sources[0].rows_loaded == 25
        assert [table.table for table in result.sources[0].tables] == ["raw.orders"]
        expected = [
            {name: value for name, value in record.items() if name not in ("at", "note")} for record in ORDERS
        ]
        for rows in (lake.rows("raw.orders"), lake.duckdb("raw.orders").to_pylist()):
            found = sorted(rows, key=lambda row: row["id"])
            assert [{name: row[name] for name in expected[0]} for row in found] == expected
            assert [row["at"].isoformat() for row in found] == [
                record["at"].replace("Z", "+00:00") for record in ORDERS
            ]
        kinds = {field.name: str(field.field_type) for field in lake.table("raw.orders").schema().fields}
        assert kinds["price"] == "double"
        assert kinds["at"] == "timestamptz"
        assert kinds["buyer"].startswith("struct<")
        assert kinds["lines"].startswith("list<struct<")
        assert len(lake.table("raw.orders").snapshots()) == 1

    def test_child_tables_are_the_default(self, api: Api, lake: Lake) -> None:
        api.routes["/orders"] = pages(ORDERS, 10)
        run(config(api, lake))
        assert len(lake.rows("raw.orders")) == 25
        assert {row["buyer__address__city"] for row in lake.rows("raw.orders")} == {"Bern"}
        assert len(lake.rows("raw.orders__lines")) == sum(len(record["lines"]) for record in ORDERS)

    def test_rows_are_merged_by_key(self, api: Api, lake: Lake) -> None:
        merge = {"write_mode": "merge", "primary_key": "id"}
        api.routes["/orders"] = pages(ORDERS[:10], 4)
        run(config(api, lake, nested="native", table=merge))
        changed = [{**record, "buyer": {**record["buyer"], "name": "new"}} for record in ORDERS[5:15]]
        api.routes["/orders"] = pages(changed, 4)
        run(config(api, lake, nested="native", table=merge))
        rows = sorted(lake.rows("raw.orders"), key=lambda row: row["id"])
        assert [row["id"] for row in rows] == list(range(15))
        assert [row["buyer"]["name"] for row in rows] == [f"b{i}" for i in range(5)] + ["new"] * 10

    def test_a_cursor_goes_on_where_it_was(self, api: Api, lake: Lake) -> None:
        """The boundary record comes again, since the API's filter includes it, and is not loaded twice."""
        cursor = {"cursor_path": "at", "start_param": "since", "initial_value": "2024-01-01T00:00:00Z"}
        orders = {"name": "orders", "endpoint": {"incremental": cursor}}
        made = config(api, lake, orders, nested="native")
        api.routes["/orders"] = pages(ORDERS[:10], 4)
        run(made)
        api.routes["/orders"] = pages(ORDERS, 4)
        run(made)
        assert api.asked[-1].query["since"] == ORDERS[9]["at"]
        assert sorted(row["id"] for row in lake.rows("raw.orders")) == list(range(25))
        run(made)
        assert len(lake.rows("raw.orders")) == 25

    @pytest.mark.parametrize("nested", ["native", "tables"])
    def test_a_limit_of_pages_is_gone_on_from_by_the_cursor(self, api: Api, lake: Lake, nested: str) -> None:
        cursor = {
            "cursor_path": "at",
            "start_param": "since",
            "initial_value": "2024-01-01T00:00:00Z",
            "row_order": "asc",
        }
        orders = {"name": "orders", "endpoint": {"incremental": cursor}}
        made = config(api, lake, orders, nested=nested, max_pages=2)
        api.routes["/orders"] = pages(ORDERS, 4)
        seen = []
        for _ in range(5):
            run(made)
            seen.append(sorted(row["id"] for row in lake.rows("raw.orders")))
        assert [ids[-1] for ids in seen] == [7, 14, 21, 24, 24]
        assert all(ids == list(range(ids[-1] + 1)) for ids in seen)

    def test_types_widen_over_pages_and_loads(self, api: Api, lake: Lake) -> None:
        batches = [
            [
                {"id": 1, "v": 1, "o": {"a": 1}, "mixed": 1},
                {"id": 2, "v": 2.5, "o": {"b": "x"}, "mixed": "one"},
            ],
            [{"id": 3, "v": 3, "o": {"a": 2, "c": [1]}, "extra": True, "mixed": None}],
            [{"id": 4, "v": None, "o": None, "extra": False, "mixed": [1]}, {"id": 5, "mixed": "s"}],
        ]
        for batch in batches:
            api.routes["/orders"] = pages(batch, 1)
            run(config(api, lake, nested="native"))
        rows = sorted(lake.rows("raw.orders"), key=lambda row: row["id"])
        assert [row["v"] for row in rows] == [1.0, 2.5, 3.0, None, None]
        assert [row["extra"] for row in rows] == [None, None, True, False, None]
        assert [row["mixed"] for row in rows] == ["1", "one", None, "[1]", "s"]
        assert [row["o"] for row in rows] == [
            {"a": 1, "b": None, "c": None},
            {"a": None, "b": "x", "c": None},
            {"a": 2, "b": None, "c": [1]},
            None,
            None,
        ]

    def test_step_for_single_records_is_refused(self, api: Api, lake: Lake) -> None:
        orders = {"name": "orders", "processing_steps": [{"map": "copy:copy"}]}
        with pytest.raises(
            SourceConfigurationError, match=r"'orders' cannot .* nested: native, since its processing"
        ):
            floe_ingest.run(config(api, lake, orders, nested="native"))
        assert api.asked == []

    def test_a_mapping_chooses_by_resource(self, api: Api, lake: Lake) -> None:
        api.routes["/orders"] = pages(ORDERS, 10)
        api.routes["/items"] = pages([{"id": 1, "l": [{"a": 1}]}], 10)
        api.routes |= {f"/orders/{i}/notes": pages([{"n": i}], 10) for i in range(25)}
        notes = {"name": "notes", "endpoint": {"path": "orders/{resources.orders.id}/notes"}}
        both = ("orders", "items", notes)
        with pytest.raises(SourceConfigurationError, match=r"'orders' .* since notes is read for each"):
            floe_ingest.run(config(api, lake, *both, nested="native"))
        run(config(api, lake, *both, nested={"items": "native"}))
        assert lake.rows("raw.items") == [{"id": 1, "l": [{"a": 1}]}]
        assert len(lake.rows("raw.orders__lines")) == 36
        assert len(lake.rows("raw.notes")) == 25
        with pytest.raises(SourceConfigurationError, match=r"nested\.itms names no resource"):
            floe_ingest.run(config(api, lake, *both, nested={"itms": "native"}))

    def test_a_value_that_is_no_time_is_named(self, api: Api, lake: Lake) -> None:
        api.routes["/orders"] = pages([{"id": 1, "at": "yesterday"}], 4)
        result = floe_ingest.run(config(api, lake, nested="native", timestamps=["at"]))
        (error,) = result.sources[0].errors
        assert (error.category, error.type) == ("permanent", "SchemaError")
        assert "Column 'at' of resource 'orders' stands in timestamps" in error.message


@pytest.mark.parametrize("nested", ["native", "tables"])
class TestEnds:
    def test_an_empty_answer_makes_the_table_with_what_is_known(
        self, api: Api, lake: Lake, nested: str
    ) -> None:
        api.routes["/orders"] = [Answer({"data": [], "more": False})]
        orders = {
            "name": "orders",
            "columns": {"id": {"data_type": "bigint"}, "city": {"data_type": "text"}},
            "primary_key": "id",
        }
        result = run(config(api, lake, orders, nested=nested))
        assert [(table.table, table.rows_loaded) for table in result.sources[0].tables] == [("raw.orders", 0)]
        assert {"id", "city"} <= {field.name for field in lake.table("raw.orders").schema().fields}
        assert lake.rows("raw.orders") == []

    def test_a_failure_half_way_leaves_nothing_of_the_resource(
        self, api: Api, lake: Lake, nested: str
    ) -> None:
        api.routes["/orders"] = pages(ORDERS, 4, fail={3: [Answer({"data": ORDERS}, cut=True)]})
        good = config(api, lake, nested=nested).model_dump()
        second = {**good["sources"][0], "name": "other", "destination_table": "raw.other_{resource}"}
        second["source_config"] = {**second["source_config"], "resources": ["items"]}
        api.routes["/items"] = pages([{"id": 1}], 4)
        made = DltIngestionConfig(**{**good, "sources": [good["sources"][0], second]})
        result = floe_ingest.run(made)
        failed, fine = result.sources
        assert (failed.success, fine.success) == (False, True)
        assert not lake.catalog().table_exists("raw.orders")
        assert len(lake.rows("raw.other_items")) == 1
        (error,) = failed.errors
        assert error.category == "transient"
        assert "Resource 'orders' stopped at page 3, after 8 records" in error.message
        assert error.resource == "orders"

        def healed(request: Asked) -> Answer:
            return pages(ORDERS, 4)(request)

        api.routes["/orders"] = healed
        run(made)
        assert sorted(row["id"] for row in lake.rows("raw.orders")) == list(range(25))
