"""Assets, what is selected of them, and what they tell: materialised for real, and read back."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime
from typing import Any

import dagster as dg
import pytest
from dagster_shop import Shop, key, materialized, observed
from readers import read_by_duckdb
from rest_support import Answer, serving

import floe_ingest
from floe_ingest.integrations.dagster import FloeIngestionTranslator, definitions
from floe_ingest.testing.inspect import connections


def specs_of(defs: dg.Definitions) -> dict[str, dg.AssetSpec]:
    return {spec.key.to_user_string(): spec for spec in defs.resolve_all_asset_specs()}


def load(defs: dg.Definitions, *names: str, **arguments: Any) -> Any:
    job = defs.resolve_implicit_global_asset_job_def()
    selected = [key(name) for name in names] or None
    return job.execute_in_process(asset_selection=selected, raise_on_error=False, **arguments)


class TestDefinitions:
    @pytest.mark.requirement("FR-060")
    @pytest.mark.requirement("FR-061")
    def test_an_asset_says_what_the_configuration_says(self, shop: Shop) -> None:
        defs = shop.definitions(
            write_mode="merge",
            primary_key="id",
            owners=["team:sales", "ada@example.com"],
            tags={"domain": "sales"},
            resources={"orders": {"partition_by": ["month(day)"]}, "customers": {"write_mode": "replace"}},
        )
        specs = specs_of(defs)
        assert set(specs) == {"ingestion__shop__orders", "ingestion__shop__customers"}
        orders = specs["ingestion__shop__orders"]
        assert orders.group_name == "shop"
        assert list(orders.owners) == ["team:sales", "ada@example.com"]
        assert orders.tags["domain"] == "sales"
        assert orders.kinds == {"dlt", "iceberg", "sql_database"}
        assert orders.metadata["source_type"] == "sql_database"
        assert orders.metadata["destination_table"] == "bronze.shop_orders"
        assert orders.metadata["write_mode"] == "merge"
        assert orders.metadata["partition_spec"] == "month(day)"
        assert specs["ingestion__shop__customers"].metadata["write_mode"] == "replace"

    def test_no_connection_is_opened(self, shop: Shop) -> None:
        rest = {
            "name": "api",
            "source_type": "rest_api",
            "source_config": {"client": {"base_url": "http://127.0.0.1:1/"}, "resources": ["posts", "users"]},
            "destination_table": "raw.{resource}",
        }
        files = {
            "name": "files",
            "source_type": "filesystem",
            "source_config": {"bucket_url": "s3://nowhere/x"},
            "destination_table": "raw.files",
        }
        path = shop.write(rest, files)
        with connections() as opened:
            defs = definitions(path)
        assert opened == []
        assert {name for name in specs_of(defs) if "shop" not in name} == {
            "ingestion__api__posts",
            "ingestion__api__users",
            "ingestion__files__files",
        }

    def test_a_translator_of_the_user_has_the_last_word(self, shop: Shop) -> None:
        class Ours(FloeIngestionTranslator):
            def get_asset_spec(self, data: Any) -> dg.AssetSpec:
                spec = super().get_asset_spec(data)
                return spec.replace_attributes(key=dg.AssetKey(["lake", data.part.name]), group_name="bronze")

        defs = definitions(shop.write(), translator=Ours())
        assert {spec.group_name for spec in specs_of(defs).values()} == {"bronze"}
        result = load_key(defs, dg.AssetKey(["lake", "customers"]))
        assert result.success
        assert shop.ids("bronze.shop_customers") == [1, 2]

    @pytest.mark.parametrize(
        ("changes", "told"),
        [
            ({"schedule": "every day"}, "every day"),
            ({"owners": ["nobody"]}, "nobody"),
            ({"partitions": {"every": "day", "start": "2024-01-01"}}, "cursor_field"),
        ],
    )
    def test_what_dagster_refuses_is_told_by_its_place(self, shop: Shop, changes: Any, told: str) -> None:
        with pytest.raises(floe_ingest.InvalidConfigError) as refused:
            shop.definitions(**changes)
        assert "sources[0]" in str(refused.value)
        assert told in str(refused.value)

    def test_neither_the_package_nor_the_plugin_imports_dagster(self) -> None:
        code = (
            "import sys, floe_ingest, floe_ingest.integrations.dagster;"
            "from floe_ingest.plugins import load_plugins; infos = load_plugins().infos();"
            "assert any(info.name == 'dagster' for info in infos);"
            "print([name for name in sys.modules if name.split('.')[0].startswith('dagster')])"
        )
        ran = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True
        )
        # Logs stand before it, where the machine is slow: a plugin that takes long is told.
        assert ran.stdout.splitlines()[-1] == "[]"

    @pytest.mark.parametrize("missing", ["dagster", "dagster_dlt"])
    def test_without_the_extra_the_way_to_install_it_is_told(self, shop: Shop, missing: str) -> None:
        code = (
            f"import sys; sys.modules[{missing!r}] = None\n"
            "from floe_ingest.integrations.dagster import definitions\n"
            f"definitions({str(shop.write())!r})"
        )
        ran = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False
        )
        assert ran.returncode == 1
        assert "MissingPackageError" in ran.stderr
        assert "pip install 'floe-ingest[dagster]'" in ran.stderr

    def test_definitions_import_no_library_of_loads(self, shop: Shop) -> None:
        code = (
            "import sys; from floe_ingest.integrations.dagster import definitions\n"
            f"definitions({str(shop.write())!r})\n"
            "print([name for name in ('duckdb', 'pandas', 'pyarrow', 'pyiceberg') if name in sys.modules])"
        )
        ran = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True
        )
        assert ran.stdout.splitlines()[-1] == "[]"


def load_key(defs: dg.Definitions, asset: dg.AssetKey) -> Any:
    return defs.resolve_implicit_global_asset_job_def().execute_in_process(asset_selection=[asset])


class TestMaterialisation:
    def test_a_selected_asset_is_loaded_alone(self, shop: Shop) -> None:
        result = load(shop.definitions(), "shop__customers")
        assert result.success
        assert shop.ids("bronze.shop_customers") == [1, 2]
        assert list(materialized(result)) == ["shop__customers"]
        assert not (shop.lake.folder / "bronze" / "shop_orders").exists()

    @pytest.mark.requirement("FR-064")
    def test_numbers_of_the_load(self, shop: Shop) -> None:
        defs = shop.definitions(write_mode="append", resources={"orders": {"cursor_field": "id"}})
        first = materialized(load(defs))["shop__orders"]
        assert (first["rows_loaded"], first["total_rows"], first["cursor_after"]) == (30, 30, 30)
        assert first["bytes_written"] > 0
        assert "cursor_before" not in first
        snapshot = shop.lake.table("bronze.shop_orders").current_snapshot()
        assert first["snapshot_id"] == str(snapshot.snapshot_id)
        assert first["load_id"] == snapshot.summary["floe-ingest.load-id"]
        for phase in ("extract", "normalize", "load"):
            assert isinstance(first[f"{phase}_seconds"], float)
        columns = first["dagster/column_schema"].columns
        assert [(column.name, column.type) for column in columns] == [
            ("id", "long"),
            ("day", "string"),
            ("amount", "long"),
        ]

        shop.sql("ALTER TABLE orders ADD COLUMN note TEXT")
        shop.sql("INSERT INTO orders VALUES (?, ?, ?, ?)", [(31, "2024-01-31", 5, "late")])
        second = materialized(load(defs))["shop__orders"]
        assert (second["rows_loaded"], second["total_rows"]) == (1, 31)
        assert (second["cursor_before"], second["cursor_after"]) == (30, 31)
        assert second["schema_changes"] == ["+ note: string"]

    def test_descriptions_of_columns_and_rows_of_children(self, shop: Shop) -> None:
        with serving() as api:
            api.routes["/posts"] = [Answer([{"id": 1, "tags": ["a", "b"]}, {"id": 2, "tags": ["c"]}])]
            columns = {"id": {"data_type": "bigint", "description": "The number of the post."}}
            source = {
                "name": "api",
                "source_type": "rest_api",
                "source_config": {
                    "client": {"base_url": api.url, "paginator": "single_page"},
                    "resources": [{"name": "posts", "columns": columns}],
                },
                "destination_table": "raw.{resource}",
            }
            told = materialized(load(shop.definitions(source), "api__posts"))["api__posts"]
        described = {column.name: column for column in told["dagster/column_schema"].columns}
        assert described["id"].description == "The number of the post."
        assert described["id"].type == "long"
        assert told["child_tables"] == {"raw.posts__tags": 3}
        assert (told["rows_loaded"], told["total_rows"]) == (2, 2)

    def test_cursors_of_rows_are_told_and_go_on_by_asset(self, shop: Shop) -> None:
        with serving() as api:
            api.routes["/posts"] = [Answer([{"id": 1}, {"id": 2}])]
            api.routes["/users"] = [Answer([{"id": 70}])]
            source = {
                "name": "api",
                "source_type": "rest_api",
                "source_config": {
                    "client": {"base_url": api.url, "paginator": "single_page"},
                    "resources": ["posts", "users"],
                },
                "destination_table": "raw.{resource}",
                "cursor_field": "id",
            }
            defs = shop.definitions(source)
            first = materialized(load(defs, "api__posts"))["api__posts"]
            assert (first["cursor_after"], first["rows_loaded"]) == (2, 2)
            users = materialized(load(defs, "api__users"))["api__users"]
            assert (users["cursor_after"], "cursor_before" in users) == (70, False)
            api.routes["/posts"] = [Answer([{"id": 1}, {"id": 2}, {"id": 3}])]
            second = materialized(load(defs, "api__posts"))["api__posts"]
        assert (second["cursor_before"], second["cursor_after"]) == (2, 3)
        assert shop.ids("raw.posts") == [1, 2, 3]

    def test_what_look_says_can_be_run(self, shop: Shop) -> None:
        told = materialized(load(shop.definitions(), "shop__customers"))["shop__customers"]
        statement = told["look"].removeprefix("```sql\n").removesuffix(";\n```")
        location = shop.lake.table("bronze.shop_customers").metadata_location
        assert location in statement
        assert read_by_duckdb(location, f"SELECT * FROM ({statement})").to_pylist() == [
            {"id": 1, "name": "Ada"},
            {"id": 2, "name": "Bob"},
        ]

    def test_a_table_with_nothing_new_is_observed(self, shop: Shop) -> None:
        defs = shop.definitions(resources={"orders": {"cursor_field": "id"}})
        assert observed(load(defs, "shop__orders")) == []
        again = load(defs, "shop__orders")
        assert again.success
        assert observed(again) == ["shop__orders"]
        assert materialized(again) == {}

    def test_or_materialised_if_wished(self, shop: Shop) -> None:
        path = shop.write(resources={"orders": {"cursor_field": "id"}})
        defs = definitions(path, observe_unchanged=False)
        load(defs, "shop__orders")
        told = materialized(load(defs, "shop__orders"))["shop__orders"]
        assert (told["rows_loaded"], told["total_rows"]) == (0, 30)

    def test_resources_that_are_known_at_run_time_alone(self, shop: Shop) -> None:
        settings = {"url": "sqlite:///shop.db"}
        named = shop.definitions(source_config=settings, resources={"orders": {"write_mode": "replace"}})
        assert set(specs_of(named)) == {"ingestion__shop__orders"}
        assert load(named).success
        assert not (shop.lake.folder / "bronze" / "shop_customers").exists()

        whole = shop.definitions(source_config=settings, write_mode="replace")
        assert set(specs_of(whole)) == {"ingestion__shop__all"}
        assert load(whole).success
        assert shop.ids("bronze.shop_customers") == [1, 2]


class TestChecks:
    def checked(self, result: Any) -> dict[tuple[str, str], bool]:
        return {
            (found.asset_key.to_user_string().rpartition("__")[2], found.check_name): found.passed
            for found in result.get_asset_check_evaluations()
        }

    def test_rows_and_keys(self, shop: Shop) -> None:
        result = load(shop.definitions(write_mode="merge", primary_key="id"))
        assert self.checked(result) == {
            (table, check): True
            for table in ("orders", "customers")
            for check in ("row_count", "primary_key")
        }

    def test_rows_of_a_replace_that_are_too_many_are_found(self, shop: Shop) -> None:
        """Another writer appends, and says that it wrote what our load did."""
        import pyarrow as pa

        defs = shop.definitions(write_mode="replace")
        assert load(defs, "shop__customers").success
        assert self.checked(load(defs, "shop__customers")) == {("customers", "row_count"): True}
        table = shop.lake.table("bronze.shop_customers")
        said = dict(table.current_snapshot().summary.additional_properties)
        said = {name: value for name, value in said.items() if name.startswith("floe-ingest.")}
        other = pa.table({"id": pa.array([1, 2, 3], pa.int64()), "name": ["x", "y", "z"]})
        table.overwrite(other, snapshot_properties=said)
        assert self.looked(defs, "customers", "row_count").passed is False

    def looked(self, defs: dg.Definitions, table: str, check: str) -> Any:
        """Run one check alone; return what it found."""
        checks = dg.AssetSelection.checks(dg.AssetCheckKey(key(f"shop__{table}"), check))
        job = dg.define_asset_job("look", selection=checks)
        only = dg.Definitions.merge(defs, dg.Definitions(jobs=[job])).resolve_job_def("look")
        result = only.execute_in_process()
        assert materialized(result) == {}
        [found] = result.get_asset_check_evaluations()
        return found

    def test_a_key_that_is_there_twice_is_found(self, shop: Shop) -> None:
        import pyarrow as pa

        defs = shop.definitions(write_mode="merge", primary_key="id")
        assert load(defs, "shop__customers").success
        other = pa.table({"id": pa.array([7, 7, None], pa.int64()), "name": ["x", "y", "z"]})
        shop.lake.table("bronze.shop_customers").append(other)
        found = self.looked(defs, "customers", "primary_key")
        assert not found.passed
        assert (found.metadata["duplicates"].value, found.metadata["nulls"].value) == (2, 1)

    def test_old_rows_are_warned_of(self, shop: Shop) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        for name, at in (("old", datetime(2001, 1, 1, tzinfo=UTC)), ("new", datetime.now(UTC))):
            table = pa.table({"id": [1], "at": pa.array([at], pa.timestamp("us", "UTC"))})
            pq.write_table(table, shop.folder / f"{name}.parquet")
            files = {
                "name": name,
                "source_type": "filesystem",
                "source_config": {"path": ".", "file_glob": f"{name}.parquet"},
                "destination_table": f"raw.{name}",
                "cursor_field": "at",
                "fresh_within_hours": 48,
            }
            result = load(shop.definitions(files), f"{name}__{name}")
            assert self.checked(result)[name, "freshness"] is (name == "new"), name
            assert result.success


class TestTheDoor:
    def test_another_orchestrators_plugin_stands_beside_it(self, shop: Shop) -> None:
        from floe_ingest import DefinitionsRequest, hookimpl
        from floe_ingest.plugins import load_plugins

        class Cron:
            @hookimpl
            def floe_ingest_build_definitions(self, orchestrator: str, request: DefinitionsRequest) -> Any:
                return ["cron"] if orchestrator == "cron" else None

        plugins = load_plugins(extra={"cron": Cron()})
        config = floe_ingest.load_config(shop.write())
        request = DefinitionsRequest(config)
        assert plugins.build_definitions("cron", request) == ["cron"]
        assert isinstance(plugins.build_definitions("dagster", request), dg.Definitions)
        assert isinstance(definitions(config, plugins=plugins), dg.Definitions)
