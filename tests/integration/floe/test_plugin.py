"""floe's plugin ``dlt``: what floe-core asks of it, on real pipelines, servers and tables."""

from __future__ import annotations

import inspect
import pickle
import subprocess
import sys
import threading
from functools import partial
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dlt
import pyarrow as pa
import pytest
import requests
from floe_core.plugin_metadata import HealthState, PluginMetadata
from floe_core.plugin_registry import PluginRegistry
from floe_core.plugin_types import PluginType
from floe_core.plugins.ingestion import IngestionConfig, IngestionPlugin, IngestionResult
from floe_core.schemas.compiled_artifacts import PluginRef
from rest_support import Answer, serving
from small_disk import small_disk

import floe_ingest
from floe_ingest import (
    DltIngestionConfig,
    DltIngestionPlugin,
    ErrorCategory,
    MissingPackageError,
    NotStartedError,
    PipelineConfigurationError,
    SourceConnectionError,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conftest import Lake

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def plugin(lake: Lake) -> Iterator[DltIngestionPlugin]:
    """A started plugin that loads into the test's catalog."""
    made = DltIngestionPlugin({"catalog_config": lake.properties})
    made.startup()
    yield made
    made.shutdown()


@pytest.fixture
def orders(tmp_path: Path) -> dict[str, str]:
    """The ``source_config`` of a folder with one CSV file of two rows."""
    folder = tmp_path / "orders"
    folder.mkdir()
    (folder / "orders.csv").write_text("id,amount\n1,10\n2,20\n", encoding="utf-8")
    return {"path": str(folder), "format": "csv"}


def asked(
    settings: dict[str, Any] | None = None, table: str = "bronze.orders", **more: Any
) -> IngestionConfig:
    return IngestionConfig("filesystem", settings or {}, table, **more)


# -- the interface


@pytest.mark.requirement("FR-001")
def test_it_is_what_the_installed_floe_core_asks_for() -> None:
    """Every method of the interface has the names of its arguments, so that a new floe-core shows at once."""
    assert issubclass(DltIngestionPlugin, IngestionPlugin)
    assert not inspect.isabstract(DltIngestionPlugin)
    for base in (PluginMetadata, IngestionPlugin):
        for name, theirs in vars(base).items():
            if name.startswith("_") or not inspect.isfunction(theirs):
                continue
            wanted = inspect.signature(theirs).parameters
            ours = inspect.signature(getattr(DltIngestionPlugin, name)).parameters
            assert list(ours) == list(wanted), name
            for parameter, expected in wanted.items():
                assert ours[parameter].kind is expected.kind, (name, parameter)
                assert ours[parameter].default == expected.default, (name, parameter)


def test_the_interface_is_the_one_that_this_was_written_for() -> None:
    """A method that floe-core adds has to be looked at."""
    known = {
        *("name", "version", "floe_api_version", "description", "dependencies", "tracer_name", "is_external"),
        *("configure", "is_configured", "get_config_schema", "health_check", "startup", "shutdown"),
        *("create_pipeline", "run", "get_composition_requirements", "build_deployment_binding"),
    }
    public = {
        name for base in (PluginMetadata, IngestionPlugin) for name in vars(base) if not name.startswith("_")
    }
    assert public == known
    assert set(IngestionConfig.__dataclass_fields__) == {
        *("source_type", "source_config", "destination_table", "write_mode", "schema_contract"),
        "runtime_binding",
    }
    assert set(IngestionResult.__dataclass_fields__) == {
        *("success", "rows_loaded", "bytes_written", "duration_seconds", "errors"),
    }


@pytest.mark.requirement("FR-002")
@pytest.mark.requirement("FR-003")
@pytest.mark.requirement("FR-079")
@pytest.mark.requirement("SC-001")
@pytest.mark.requirement("SC-003")
def test_floe_finds_it() -> None:
    [found] = [found for found in entry_points(group="floe.ingestion") if found.dist.name == "floe-ingest"]
    assert (found.name, found.load()) == ("dlt", DltIngestionPlugin)
    registry = PluginRegistry()
    registry.discover_all()
    plugin = registry.get(PluginType.INGESTION, "dlt")
    config = registry.configure(PluginType.INGESTION, "dlt", {"retry_config": {"max_retries": 1}})
    assert isinstance(plugin, DltIngestionPlugin)
    assert isinstance(config, DltIngestionConfig)
    assert plugin.is_configured
    registry.activate_plugin(PluginType.INGESTION, "dlt")
    registry.activate_plugin(PluginType.INGESTION, "dlt")
    assert registry.health_check_all()["INGESTION:dlt"].state is HealthState.HEALTHY
    assert registry.shutdown_all() == {"INGESTION:dlt": None}
    assert plugin.health_check().state is HealthState.UNHEALTHY


@pytest.mark.requirement("FR-004")
@pytest.mark.requirement("FR-005")
@pytest.mark.requirement("FR-010")
def test_metadata() -> None:
    plugin = DltIngestionPlugin()
    assert (plugin.name, plugin.version, plugin.floe_api_version) == ("dlt", floe_ingest.__version__, "1.0")
    assert plugin.is_external is False
    assert "Iceberg" in plugin.description
    assert plugin.tracer_name == "floe_ingest"
    assert set(plugin.capabilities["source_types"]) >= {"rest_api", "sql_database", "filesystem"}


@pytest.mark.requirement("FR-006")
@pytest.mark.requirement("FR-067")
def test_configuration() -> None:
    assert DltIngestionPlugin().get_config_schema() is DltIngestionConfig
    assert not DltIngestionPlugin().is_configured
    for config in (DltIngestionConfig(memory_limit="256MB"), {"memory_limit": "256MB"}):
        assert DltIngestionPlugin(config).is_configured
    plugin = DltIngestionPlugin()
    plugin.configure(DltIngestionConfig())
    assert plugin.is_configured
    plugin.configure(None)
    assert not plugin.is_configured


@pytest.mark.requirement("SC-008")
def test_compiled_artifacts_keep_its_configuration() -> None:
    """Written and read again as JSON, the reference gives the same configuration, and holds no secret."""
    source = {
        "name": "shop",
        "source_type": "sql_database",
        "source_config": {"url": "${SHOP_DB}", "table": "orders"},
        "destination_table": "bronze.orders",
        "write_mode": "merge",
        "primary_key": "id",
        "partition_by": ["bucket[4](id)"],
    }
    config = {"retry_config": {"max_retries": 2}, "sources": [source]}
    reference = PluginRef(type="dlt", version="0.1.0", config=config)
    again = PluginRef.model_validate_json(reference.model_dump_json())
    assert again == reference
    model = DltIngestionPlugin().get_config_schema()
    assert model.model_validate(again.config) == model.model_validate(config)


def test_its_module_loads_no_engine() -> None:
    """Discovery imports the class alone."""
    code = (
        "import sys; from floe_ingest import DltIngestionPlugin; DltIngestionPlugin();"
        "print(sorted({'dlt', 'pyarrow', 'pyiceberg', 'duckdb', 'dagster', 'sqlalchemy'} & set(sys.modules)))"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "[]"


# -- pipelines


@pytest.mark.requirement("FR-011")
@pytest.mark.requirement("FR-012")
def test_a_pipeline_is_a_dlt_pipeline_on_our_destination(
    plugin: DltIngestionPlugin, orders: dict[str, str]
) -> None:
    pipeline = plugin.create_pipeline(asked(orders))
    assert isinstance(pipeline, dlt.Pipeline)
    assert isinstance(pipeline.destination, floe_ingest.iceberg)
    assert pipeline.dataset_name == "bronze"


@pytest.mark.requirement("FR-017")
@pytest.mark.requirement("FR-018")
def test_names_are_derived_from_the_whole_destination_table(
    plugin: DltIngestionPlugin, orders: dict[str, str]
) -> None:
    tables = ["bronze.orders", "silver.orders", "bronze.raw.orders"]
    made = [plugin.create_pipeline(asked(orders, table)) for table in tables]
    assert len({pipeline.pipeline_name for pipeline in made}) == 3
    assert [pipeline.dataset_name for pipeline in made] == ["bronze", "silver", "bronze.raw"]
    again = plugin.create_pipeline(asked(orders))
    assert again.pipeline_name == made[0].pipeline_name
    assert again.working_dir != made[0].working_dir


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"source_type": "filesytem"}, "did you mean 'filesystem'"),
        ({"write_mode": "upsert"}, "write_mode: should be append, replace or merge, got 'upsert'"),
        ({"schema_contract": "frozen"}, "did you mean 'freeze'"),
        ({"write_mode": "merge"}, "merge needs a primary_key"),
        ({"destination_table": ""}, "destination_table: should be namespace.table"),
        ({"destination_table": "orders"}, "destination_table: should be namespace.table"),
        ({"source_config": {"path": "x", "file_glb": "*"}}, "did you mean 'file_glob'"),
        ({"source_config": {"path": "/no/such/folder"}}, "/no/such/folder"),
    ],
)
@pytest.mark.requirement("FR-014")
@pytest.mark.requirement("FR-016")
def test_what_cannot_work_is_refused_when_the_pipeline_is_made(
    plugin: DltIngestionPlugin, orders: dict[str, str], change: dict[str, Any], told: str
) -> None:
    fields = {"source_type": "filesystem", "source_config": orders, "destination_table": "bronze.orders"}
    with pytest.raises(PipelineConfigurationError) as raised:
        plugin.create_pipeline(IngestionConfig(**{**fields, **change}))
    assert told.lower() in str(raised.value).lower()
    assert raised.value.category is ErrorCategory.CONFIGURATION
    assert raised.value.source_type == {**fields, **change}["source_type"]
    assert raised.value.destination_table == {**fields, **change}["destination_table"] or not change.get(
        "destination_table", "x"
    )


@pytest.mark.requirement("FR-055")
@pytest.mark.requirement("FR-056")
@pytest.mark.requirement("FR-058")
def test_an_unreachable_source(plugin: DltIngestionPlugin) -> None:
    """Nothing listens there. The error is chained, knows what it is about, and holds no password."""
    settings = {"url": "postgresql://ada:hunter2-x@127.0.0.1:1/shop", "table": "orders"}
    with pytest.raises(SourceConnectionError) as raised:
        plugin.create_pipeline(IngestionConfig("sql_database", settings, "bronze.orders"))
    error = raised.value
    assert error.category is ErrorCategory.TRANSIENT
    about = (error.source_type, error.destination_table, error.pipeline_name)
    assert about == ("sql_database", "bronze.orders", "floe__bronze__orders")
    assert error.__cause__ is not None
    causes = [error, error.__cause__, error.__cause__.__cause__ or error]
    assert not any("hunter2" in str(cause) or "hunter2" in repr(cause) for cause in causes)


def test_a_merge_by_the_keys_that_the_source_brings(
    plugin: DltIngestionPlugin, lake: Lake, tmp_path: Path
) -> None:
    """A table's own key is enough."""
    import sqlite3

    with sqlite3.connect(tmp_path / "shop.db") as database:
        database.execute("CREATE TABLE keyed (id INTEGER PRIMARY KEY, v TEXT)")
        database.execute("INSERT INTO keyed VALUES (1, 'a'), (2, 'b')")
    settings = {"url": f"sqlite:///{tmp_path / 'shop.db'}", "table": "keyed"}
    pipeline = plugin.create_pipeline(IngestionConfig("sql_database", settings, "bronze.keyed", "merge"))
    for _ in range(2):
        assert plugin.run(pipeline).rows_loaded == 2
    assert len(lake.rows("bronze.keyed")) == 2


@pytest.mark.requirement("FR-013")
def test_each_built_in_source_type(plugin: DltIngestionPlugin, lake: Lake, tmp_path: Path) -> None:
    """The plugin builds the source itself, as the configuration says."""
    import sqlite3

    with sqlite3.connect(tmp_path / "shop.db") as database:
        database.execute("CREATE TABLE orders (id INTEGER PRIMARY KEY)")
        database.execute("INSERT INTO orders VALUES (1), (2)")
    (tmp_path / "orders.csv").write_text("id\n1\n2\n", encoding="utf-8")
    with serving() as api:
        api.routes["/orders"] = [Answer([{"id": 1}, {"id": 2}])]
        settings: dict[str, dict[str, Any]] = {
            "rest_api": {
                "client": {"base_url": api.url, "paginator": "single_page"},
                "resources": ["orders"],
            },
            "sql_database": {"url": f"sqlite:///{tmp_path / 'shop.db'}", "table": "orders"},
            "filesystem": {"path": str(tmp_path / "orders.csv"), "format": "csv"},
        }
        for source_type, written in settings.items():
            table = f"bronze.{source_type}"
            pipeline = plugin.create_pipeline(IngestionConfig(source_type, written, table))
            result = plugin.run(pipeline)
            assert (result.rows_loaded, result.errors) == (2, []), source_type
            assert sorted(row["id"] for row in lake.rows(table)) == [1, 2]


# -- runs


@pytest.mark.requirement("FR-021")
@pytest.mark.requirement("FR-029")
def test_a_run_counts_what_it_loaded_alone(
    plugin: DltIngestionPlugin, lake: Lake, orders: dict[str, str]
) -> None:
    pipeline = plugin.create_pipeline(asked(orders))
    first = plugin.run(pipeline)
    assert (first.success, first.rows_loaded, first.errors) == (True, 2, [])
    assert first.bytes_written > 0
    assert first.duration_seconds > 0
    second = plugin.run(pipeline, source=[{"id": 3, "amount": 30}])
    assert second.rows_loaded == 1
    assert sorted(row["id"] for row in lake.rows("bronze.orders")) == [1, 2, 3]
    assert pickle.loads(pickle.dumps(second)) == second  # noqa: S301
    assert pipeline.last_trace is not None


def rows() -> Iterator[dict[str, Any]]:
    yield {"id": 1, "amount": 10}
    yield {"id": 2, "amount": 20}


@dlt.source(name="shop")
def shop() -> Any:
    return dlt.resource(rows, name="orders")


@pytest.mark.parametrize(
    "source",
    [
        rows,
        shop,
        shop(),
        dlt.resource(rows, name="orders"),
        [dlt.resource(rows, name="orders")],
        lambda: dlt.resource(rows, name="orders"),
        lambda: list(rows()),
        list(rows()),
        rows(),
    ],
    ids=["rows", "factory", "source", "resource", "resources", "lambda", "lambda-rows", "list", "iterator"],
)
def test_sources_that_an_orchestrator_hands_over(plugin: DltIngestionPlugin, lake: Lake, source: Any) -> None:
    pipeline = plugin.create_pipeline(IngestionConfig("rest_api", {}, "bronze.orders"))
    result = plugin.run(pipeline, source=source)
    assert (result.success, result.rows_loaded, result.errors) == (True, 2, [])
    assert sorted(row["amount"] for row in lake.rows("bronze.orders")) == [10, 20]


def test_a_source_in_source_config(plugin: DltIngestionPlugin, lake: Lake) -> None:
    pipeline = plugin.create_pipeline(IngestionConfig("rest_api", {"source": shop()}, "bronze.orders"))
    assert plugin.run(pipeline).rows_loaded == 2
    assert len(lake.rows("bronze.orders")) == 2


@pytest.mark.requirement("FR-024")
def test_the_arguments_that_the_orchestrator_passes(
    plugin: DltIngestionPlugin, lake: Lake, capsys: pytest.CaptureFixture[str]
) -> None:
    pipeline = plugin.create_pipeline(IngestionConfig("rest_api", {}, "bronze.orders", "merge"))
    arguments: dict[str, Any] = {
        "write_disposition": "merge",
        "table_name": "orders",
        "schema_contract": "evolve",
        "cursor_field": None,
        "primary_key": "id",
        "source_type": "rest_api",
        "source_name": "shop",
        "source_path": None,
    }
    plugin.run(pipeline, source=shop(), **arguments)
    changed = [{"id": 2, "amount": 99}, {"id": 3, "amount": 30}]
    result = plugin.run(pipeline, source=changed, colour="blue", **arguments)
    assert result.success, result.errors
    assert {row["id"]: row["amount"] for row in lake.rows("bronze.orders")} == {1: 10, 2: 99, 3: 30}
    assert "colour" in capsys.readouterr().out


@pytest.mark.requirement("FR-022")
@pytest.mark.requirement("FR-023")
def test_write_modes(plugin: DltIngestionPlugin, lake: Lake) -> None:
    pipeline = plugin.create_pipeline(IngestionConfig("rest_api", {}, "bronze.orders", "replace"))
    for ids in ([1, 2], [3]):
        plugin.run(pipeline, source=[{"id": number} for number in ids])
    assert [row["id"] for row in lake.rows("bronze.orders")] == [3]
    plugin.run(pipeline, source=[{"id": 4}], write_disposition="append")
    assert sorted(row["id"] for row in lake.rows("bronze.orders")) == [3, 4]
    plugin.run(pipeline, source=[{"id": 5}], table_name="other")
    assert [row["id"] for row in lake.rows("bronze.other")] == [5]


@pytest.mark.requirement("FR-030")
def test_an_empty_source_is_a_success(plugin: DltIngestionPlugin, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "o.csv").write_text("id,amount\n", encoding="utf-8")
    pipeline = plugin.create_pipeline(asked({"path": str(tmp_path / "empty")}))
    for source in (None, [], lambda: iter(())):
        result = plugin.run(pipeline, source=source)
        assert (result.success, result.rows_loaded, result.errors) == (True, 0, [])


def test_nothing_to_load_from(plugin: DltIngestionPlugin) -> None:
    pipeline = plugin.create_pipeline(IngestionConfig("rest_api", {}, "bronze.orders"))
    for source in (None, "text", 5):
        with pytest.raises(PipelineConfigurationError) as raised:
            plugin.run(pipeline, source=source)
        assert raised.value.destination_table == "bronze.orders"
        assert raised.value.pipeline_name == pipeline.pipeline_name
    with pytest.raises(PipelineConfigurationError, match="create_pipeline"):
        plugin.run(dlt.pipeline("other", destination="duckdb"), source=shop())
    merging = plugin.create_pipeline(IngestionConfig("rest_api", {}, "bronze.orders", "merge"))
    with pytest.raises(PipelineConfigurationError, match="primary_key"):
        plugin.run(merging, source=shop())


@pytest.mark.requirement("FR-028")
@pytest.mark.requirement("FR-031")
@pytest.mark.requirement("FR-032")
@pytest.mark.requirement("FR-033")
@pytest.mark.requirement("FR-034")
@pytest.mark.requirement("FR-036")
@pytest.mark.requirement("SC-006")
def test_schema_contracts(plugin: DltIngestionPlugin, lake: Lake) -> None:
    table = "bronze.orders"
    plugin.run(plugin.create_pipeline(IngestionConfig("rest_api", {}, table)), source=shop())
    grown = [{"id": 3, "amount": 30, "note": "new"}]
    frozen = plugin.create_pipeline(IngestionConfig("rest_api", {}, table, schema_contract="freeze"))
    refused = plugin.run(frozen, source=grown)
    assert (refused.success, refused.rows_loaded) == (False, 0)
    assert "note" in refused.errors[0]
    assert refused.errors[0].startswith("permanent: SchemaError")
    assert "destination_table=bronze.orders" in refused.errors[0]
    assert len(lake.rows(table)) == 2
    assert plugin.run(frozen, source=[{"id": 4, "amount": 40}]).success
    lenient = plugin.create_pipeline(IngestionConfig("rest_api", {}, table, schema_contract="discard_value"))
    assert plugin.run(lenient, source=grown).rows_loaded == 1
    assert "note" not in lake.table(table).schema().column_names
    assert plugin.run(frozen, source=grown, schema_contract="evolve").rows_loaded == 1
    assert "note" in lake.table(table).schema().column_names


@pytest.mark.parametrize("refused", [{"id": 3, "amount": 30, "note": "new"}, {"id": "three", "amount": 30}])
def test_what_a_contract_refuses_is_not_left_pending(
    plugin: DltIngestionPlugin, lake: Lake, refused: dict[str, object]
) -> None:
    """In the caller's own pipeline: its next run would load the refused package in the place of its rows."""
    table = "bronze.orders"
    pipeline = plugin.create_pipeline(IngestionConfig("rest_api", {}, table, schema_contract="freeze"))
    assert plugin.run(pipeline, source=shop()).success

    assert not plugin.run(pipeline, source=[refused]).success

    assert not pipeline.has_pending_data
    assert plugin.run(pipeline, source=[{"id": 4, "amount": 40}]).rows_loaded == 1
    assert sorted(row["id"] for row in lake.rows(table)) == [1, 2, 4]


@pytest.mark.requirement("FR-037")
def test_a_column_that_the_source_no_longer_has_stays(plugin: DltIngestionPlugin, lake: Lake) -> None:
    pipeline = plugin.create_pipeline(IngestionConfig("rest_api", {}, "bronze.orders"))
    plugin.run(pipeline, source=[{"id": 1, "note": "old"}])
    assert plugin.run(pipeline, source=[{"id": 2}]).success
    found = lake.duckdb("bronze.orders", "SELECT id, note FROM t ORDER BY id")
    assert found.to_pylist() == [{"id": 1, "note": "old"}, {"id": 2, "note": None}]


@pytest.mark.requirement("FR-040")
@pytest.mark.requirement("FR-043")
@pytest.mark.requirement("SC-007")
@pytest.mark.parametrize("how", ["configured", "argument"])
def test_a_cursor_loads_what_is_new(lake: Lake, how: str) -> None:
    """From the configuration or as an argument; a restart goes on where the table says."""
    configured = {
        "name": "shop",
        "source_type": "filesystem",
        "source_config": {"path": "of/the/orchestrator", "format": "csv"},
        "destination_table": "bronze.orders",
        "cursor_field": "at",
    }
    sources = [configured] if how == "configured" else []
    arguments = {"cursor_field": "at"} if how == "argument" else {}
    feed = [[1, 2], [1, 2], [1, 2, 3]]
    for ids, expected in zip(feed, (2, 0, 1), strict=True):
        rows = [{"id": number, "at": number} for number in ids]
        plugin = DltIngestionPlugin({"catalog_config": lake.properties, "sources": sources})
        plugin.startup()
        pipeline = plugin.create_pipeline(IngestionConfig("filesystem", {}, "bronze.orders"))
        result = plugin.run(pipeline, source=partial(iter, rows), **arguments)
        assert (result.errors, result.rows_loaded) == ([], expected)
        plugin.shutdown()
    assert sorted(row["id"] for row in lake.rows("bronze.orders")) == [1, 2, 3]


def test_a_run_id_makes_a_run_exactly_once(plugin: DltIngestionPlugin, lake: Lake) -> None:
    for _ in range(2):
        pipeline = plugin.create_pipeline(IngestionConfig("rest_api", {}, "bronze.orders"))
        assert plugin.run(pipeline, source=shop(), run_id="run-7").success
    assert len(lake.rows("bronze.orders")) == 2


def read_orders(url: str) -> Any:
    answer = requests.get(f"{url}/orders", timeout=10)
    answer.raise_for_status()
    return answer.json()


class Sometimes:
    """Rows of a source whose connection breaks in its first ``failures`` tries, in the middle."""

    def __init__(self, failures: int) -> None:
        self.failures = failures
        self.tries = 0

    def __call__(self) -> Iterator[dict[str, Any]]:
        self.tries += 1
        yield {"id": 1, "amount": 10}
        if self.tries <= self.failures:
            raise ConnectionResetError(104, "Connection reset by peer")
        yield {"id": 2, "amount": 20}


@pytest.mark.requirement("FR-052")
@pytest.mark.requirement("FR-054")
def test_only_transient_failures_are_tried_again(lake: Lake) -> None:
    """The source is built anew for each try, and no try doubles rows."""
    plugin = DltIngestionPlugin(
        {
            "catalog_config": lake.properties,
            "retry_config": {"max_retries": 2, "initial_delay_seconds": 0.01},
        }
    )
    plugin.startup()
    pipeline = plugin.create_pipeline(IngestionConfig("rest_api", {}, "bronze.orders"))
    source = Sometimes(failures=2)
    assert plugin.run(pipeline, source=source).rows_loaded == 2
    assert source.tries == 3
    assert len(lake.rows("bronze.orders")) == 2

    source = Sometimes(failures=9)
    failed = plugin.run(pipeline, source=source)
    assert (failed.success, source.tries) == (False, 3)
    assert failed.errors[0].startswith("transient: ConnectionResetError")
    assert len(lake.rows("bronze.orders")) == 2

    iterator = iter(Sometimes(failures=1)())
    spent = plugin.run(pipeline, source=iterator)
    assert not spent.success
    assert len(lake.rows("bronze.orders")) == 2

    assert plugin.run(pipeline, source=[{"id": 3, "amount": 30}]).rows_loaded == 1
    assert len(lake.rows("bronze.orders")) == 3
    plugin.shutdown()


@pytest.mark.requirement("FR-051")
@pytest.mark.requirement("FR-057")
def test_some_tables_of_a_load_are_committed(plugin: DltIngestionPlugin, lake: Lake, tmp_path: Path) -> None:
    """A disk takes no writes: the error names what is there and what is not, and a re-run completes it."""
    resources = [dlt.resource(rows, name=name) for name in ("heads", "lines")]
    catalog = lake.catalog()
    catalog.create_namespace("bronze")
    columns = pa.schema([("id", pa.int64()), ("amount", pa.int64())])
    with small_disk(tmp_path / "disk", "10m") as disk:
        metadata = {"write.metadata.path": (disk.folder / "lines").as_uri()}
        catalog.create_table("bronze.lines", columns, properties=metadata)
        disk.remount("ro")
        pipeline = plugin.create_pipeline(IngestionConfig("rest_api", {}, "bronze.{resource}"))
        plugin.run(pipeline, source=resources[:1], run_id="monday")  # so that it is there before the other
        failed = plugin.run(pipeline, source=resources, run_id="monday")
        assert (failed.success, failed.rows_loaded) == (False, 2)
        [told] = failed.errors
        assert told.startswith("partial: StorageError")
        assert "Committed: bronze.heads. Not committed: bronze.lines." in told
        assert "destination_table=bronze.{resource}" in told
        assert (len(lake.rows("bronze.heads")), len(lake.rows("bronze.lines"))) == (2, 0)

        disk.remount("rw")
        pipeline = plugin.create_pipeline(IngestionConfig("rest_api", {}, "bronze.{resource}"))
        assert plugin.run(pipeline, source=resources, run_id="monday").success
        assert (len(lake.rows("bronze.heads")), len(lake.rows("bronze.lines"))) == (2, 2)


@pytest.mark.requirement("FR-053")
def test_a_permanent_failure_is_told_at_once(plugin: DltIngestionPlugin, lake: Lake) -> None:
    """A server that refuses the login is asked once."""
    with serving() as api:
        api.routes["/orders"] = [Answer({"error": "who are you?"}, 401)]
        pipeline = plugin.create_pipeline(IngestionConfig("rest_api", {}, "bronze.orders"))
        failed = plugin.run(pipeline, source=partial(read_orders, api.url))
        assert api.paths() == ["/orders"]
    assert failed.errors[0].startswith("permanent: HTTPError: 401")
    assert not lake.catalog().table_exists("bronze.orders")


# -- configured sources


@pytest.mark.requirement("FR-015")
@pytest.mark.requirement("FR-025")
def test_what_floe_cannot_say_comes_from_the_configured_source(
    lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Names, keys, strategies and partitions are found by the destination table; ``${NAME}`` is filled in."""
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "o.jsonl").write_text('{"id": 1, "day": "one"}\n{"id": 2, "day": "two"}\n', encoding="utf-8")
    monkeypatch.setenv("ORDERS_FOLDER", str(folder))
    source = {
        "name": "shop-orders",
        "source_type": "filesystem",
        "source_config": {"path": "${ORDERS_FOLDER}", "format": "jsonl"},
        "destination_table": "bronze.orders",
        "write_mode": "merge",
        "merge_strategy": "insert-only",
        "primary_key": "id",
        "partition_by": ["bucket[4](id)"],
        "table_properties": {"write.parquet.compression-codec": "zstd"},
    }
    plugin = DltIngestionPlugin({"catalog_config": lake.properties, "sources": [source]})
    plugin.startup()
    config = IngestionConfig("filesystem", source["source_config"], "bronze.orders", "merge")
    pipeline = plugin.create_pipeline(config)
    assert pipeline.pipeline_name == "shop_orders__bronze__orders"
    assert plugin.run(pipeline).rows_loaded == 2
    table = lake.table("bronze.orders")
    assert str(table.spec().fields[0].transform) == "bucket[4]"
    assert table.properties["write.parquet.compression-codec"] == "zstd"
    # insert-only: what is there stays.
    plugin.run(pipeline, source=[{"id": 2, "day": "late"}, {"id": 3, "day": "three"}])
    assert {row["id"]: row["day"] for row in lake.rows("bronze.orders")} == {1: "one", 2: "two", 3: "three"}
    plugin.shutdown()


def test_a_folder_that_only_the_orchestrator_knows(lake: Lake, tmp_path: Path) -> None:
    """A configured relative path that is not there yet is told when it runs without a source."""
    source = {
        "name": "orders",
        "source_type": "filesystem",
        "source_config": {"path": "no/such/folder", "format": "csv"},
        "destination_table": "bronze.orders",
    }
    plugin = DltIngestionPlugin({"catalog_config": lake.properties, "sources": [source]})
    plugin.startup()
    pipeline = plugin.create_pipeline(asked({"path": "no/such/folder", "format": "csv"}))
    assert plugin.run(pipeline, source=shop()).rows_loaded == 2
    with pytest.raises(PipelineConfigurationError, match="no/such/folder"):
        plugin.run(pipeline)
    plugin.shutdown()


@pytest.mark.requirement("FR-009")
def test_a_source_type_of_another_package(
    lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A package that brings a source type needs no line more to work in floe."""
    target = tmp_path / "site"
    package = ROOT / "tests" / "plugins" / "acme_dns"
    subprocess.run(
        [
            *(sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation"),
            *("--disable-pip-version-check", "--target", str(target), str(package)),
        ],
        check=True,
    )
    (tmp_path / "example.zone").write_text(
        "www 300 IN A 192.0.2.1\nmail 60 IN MX 10 mx.example.\n; a comment\n", encoding="utf-8"
    )
    monkeypatch.syspath_prepend(str(target))
    plugin = DltIngestionPlugin({"catalog_config": lake.properties})
    plugin.startup()
    config = IngestionConfig("dns_zone", {"path": str(tmp_path / "example.zone")}, "bronze.dns")
    pipeline = plugin.create_pipeline(config)
    assert plugin.run(pipeline).rows_loaded == 2
    assert {row["name"] for row in lake.rows("bronze.dns")} == {"www", "mail"}
    assert plugin.health_check().details["source_type.dns_zone"] == "ready"
    with pytest.raises(SourceConnectionError):
        plugin.create_pipeline(
            IngestionConfig("dns_zone", {"path": str(tmp_path / "none.zone")}, "bronze.dns")
        )
    plugin.configure(
        {
            "sources": [
                {
                    "name": "signed",
                    "source_type": "dns_zone_signed",
                    "source_config": {"path": "x", "key": "k"},
                    "destination_table": "bronze.signed",
                }
            ]
        }
    )
    assert plugin.health_check().state is HealthState.DEGRADED
    plugin.shutdown()
    with pytest.raises(ImportError, match=r"pip install 'acme-dns\[signed\]'"):
        plugin.startup()
    with pytest.raises(MissingPackageError):
        plugin.startup()


# -- many at once


@pytest.mark.requirement("FR-042")
def test_many_runs_at_once(plugin: DltIngestionPlugin, lake: Lake) -> None:
    """Threads that share the plugin, and a table: nothing is lost, and nothing is doubled."""
    failures: list[object] = []

    def work(number: int) -> None:
        try:
            for turn in range(2):
                table = f"bronze.t{number % 2}"
                pipeline = plugin.create_pipeline(IngestionConfig("rest_api", {}, table))
                result = plugin.run(pipeline, source=[{"id": number * 10 + turn}])
                if not result.success or result.rows_loaded != 1:
                    failures.append(result)
        except Exception as error:  # noqa: BLE001 (told by the test's own thread)
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert sorted(row["id"] for row in lake.rows("bronze.t0")) == [0, 1, 20, 21]
    assert sorted(row["id"] for row in lake.rows("bronze.t1")) == [10, 11, 30, 31]


_PROCESS = """
import sys
from floe_core.plugins.ingestion import IngestionConfig
from floe_ingest import DltIngestionPlugin

uri, warehouse, number = sys.argv[1], sys.argv[2], int(sys.argv[3])
plugin = DltIngestionPlugin({"catalog_config": {"type": "sql", "uri": uri, "warehouse": warehouse}})
plugin.startup()
for turn in range(3):
    pipeline = plugin.create_pipeline(IngestionConfig("rest_api", {}, "bronze.orders", "merge"))
    rows = [{"id": number * 10 + turn}, {"id": 99}]
    result = plugin.run(pipeline, source=rows, primary_key="id")
    assert result.success, result.errors
plugin.shutdown()
"""


@pytest.mark.requirement("FR-042")
def test_many_processes_on_one_host(lake: Lake) -> None:
    """They share a pipeline's name and a table, and merge one row that all of them bring."""
    lake.folder.mkdir(parents=True)
    given = (lake.properties["uri"], lake.properties["warehouse"])
    running = [
        subprocess.Popen(
            [sys.executable, "-c", _PROCESS, *given, str(number)], stderr=subprocess.PIPE, text=True
        )
        for number in range(3)
    ]
    told = [process.communicate(timeout=200)[1] for process in running]
    assert [process.returncode for process in running] == [0, 0, 0], told
    ids = sorted(row["id"] for row in lake.rows("bronze.orders"))
    assert ids == [*(number * 10 + turn for number in range(3) for turn in range(3)), 99]


# -- before and after


@pytest.mark.requirement("FR-008")
def test_nothing_works_before_startup(lake: Lake) -> None:
    plugin = DltIngestionPlugin({"catalog_config": lake.properties})
    with pytest.raises(NotStartedError, match="startup"):
        plugin.create_pipeline(IngestionConfig("rest_api", {}, "bronze.orders"))
    plugin.startup()
    pipeline = plugin.create_pipeline(IngestionConfig("rest_api", {}, "bronze.orders"))
    plugin.shutdown()
    with pytest.raises(RuntimeError):
        plugin.run(pipeline, source=shop())


@pytest.mark.requirement("FR-008")
def test_startup_verifies_the_configuration(lake: Lake) -> None:
    source = {"name": "x", "source_type": "filesytem", "destination_table": "bronze.x"}
    plugin = DltIngestionPlugin({"sources": [source]})
    with pytest.raises(floe_ingest.ConfigurationError, match="filesystem"):
        plugin.startup()
    assert plugin.health_check().state is HealthState.UNHEALTHY
    plugin.configure({"catalog_config": lake.properties})
    plugin.startup()
    assert plugin.health_check().state is HealthState.HEALTHY
    plugin.shutdown()
