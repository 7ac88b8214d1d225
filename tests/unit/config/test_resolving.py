"""``resolve_source``, ``resolve_catalog``, ``validate_config``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from floe_ingest import (
    InvalidConfigError,
    PluginError,
    SourceRequest,
)
from floe_ingest.config import (
    DltIngestionConfig,
    resolve_catalog,
    resolve_source,
    validate_config,
)

if TYPE_CHECKING:
    from floe_ingest.plugins import Plugins

pytestmark = [pytest.mark.requirement("FR-015")]

SHOP: dict[str, Any] = {
    "name": "shop",
    "source_type": "sql_database",
    "source_config": {"url": "${SHOP_DB}", "tables": ["orders"]},
    "destination_table": "bronze.shop_{resource}",
}
FILES: dict[str, Any] = {
    "name": "files",
    "source_type": "filesystem",
    "source_config": {"path": "data"},
    "destination_table": "raw.files",
}


def _config(*sources: dict[str, Any], **fields: Any) -> DltIngestionConfig:
    return DltIngestionConfig(sources=sources, **fields)


def _problems(error: InvalidConfigError) -> list[tuple[str, str]]:
    return [(problem.path, problem.message) for problem in error.problems]


class TestSource:
    def test_the_plugin_gets_a_validated_request(
        self, plugins: Plugins, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.setenv("SHOP_DB", "postgresql://me:hunter2@db/shop")
        config = _config(SHOP | {"write_mode": "replace", "primary_key": "id", "cursor_field": "at"})
        config = config.at(tmp_path / "floe.yaml")
        request = resolve_source(config.sources[0], config, plugins)
        assert isinstance(request, SourceRequest)
        assert request.config.url.get_secret_value() == "postgresql://me:hunter2@db/shop"
        assert (request.name, request.source_type) == ("shop", "sql_database")
        assert request.destination_table == "bronze.shop_{resource}"
        assert (request.write_mode, request.primary_key, request.cursor_field) == ("replace", ("id",), "at")
        assert request.config_folder == tmp_path
        assert "hunter2" not in repr(request)

    def test_fields_that_were_not_written_stay_unset(self, plugins: Plugins) -> None:
        config = _config(FILES)
        request = resolve_source(config.sources[0], config, plugins)
        assert (request.write_mode, request.primary_key, request.cursor_field) == (None, (), None)

    def test_each_time_the_environment_of_that_moment(
        self, plugins: Plugins, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        config = _config(SHOP)
        for password in ("first", "second"):
            monkeypatch.setenv("SHOP_DB", password)
            request = resolve_source(config.sources[0], config, plugins)
            assert request.config.url.get_secret_value() == password

    def test_problems_say_where(self, plugins: Plugins, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("SHOP_DB", raising=False)
        config = _config(FILES, SHOP | {"source_config": {"url": "${SHOP_DB}", "tabels": []}})
        with pytest.raises(InvalidConfigError) as caught:
            resolve_source(config.sources[1], config, plugins)
        assert [path for path, _ in _problems(caught.value)] == [
            "sources[1].source_config.url",
            "sources[1].source_config.tabels",
        ]

    def test_an_unknown_type(self, plugins: Plugins) -> None:
        config = _config(FILES | {"source_type": "files"})
        with pytest.raises(InvalidConfigError) as caught:
            resolve_source(config.sources[0], config, plugins)
        ((path, message),) = _problems(caught.value)
        assert path == "sources[0].source_type"
        assert "'files'" in message

    def test_a_model_that_crashes_is_the_plugins_fault(self, plugins: Plugins) -> None:
        config = _config(SHOP | {"source_config": {"url": "hunter2", "tables": ["crash"]}})
        with pytest.raises(PluginError) as caught:
            resolve_source(config.sources[0], config, plugins)
        message = str(caught.value)
        assert "'stub'" in message
        assert "KeyError in SqlConfig (conftest.py, line" in message
        assert "hunter2" not in message
        assert caught.value.__cause__ is caught.value.__context__ is None


class TestCatalog:
    def test_by_default_it_is_beside_the_configuration(self, tmp_path: Path) -> None:
        request = resolve_catalog(_config(FILES).at(tmp_path / "floe.yaml"))
        assert (request.name, request.type, request.config_folder) == ("default", "sql", tmp_path)
        assert request.properties == {
            "uri": f"sqlite:///{tmp_path}/warehouse/catalog.db",
            "warehouse": f"file://{tmp_path}/warehouse",
        }
        assert list(tmp_path.iterdir()) == []

    def test_name_and_type_are_no_properties(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("POLARIS", "id:hunter2")
        request = resolve_catalog(
            _config(
                catalog_config={
                    "name": "lake",
                    "type": "rest",
                    "uri": "https://x/api",
                    "warehouse": "lake",
                    "credential": "${POLARIS}",
                    "s3.path-style-access": True,
                    "rest.timeout": 30,
                }
            )
        )
        assert (request.name, request.type) == ("lake", "rest")
        assert request.properties == {
            "uri": "https://x/api",
            "warehouse": "lake",
            "credential": "id:hunter2",
            "s3.path-style-access": "true",
            "rest.timeout": "30",
        }
        assert "hunter2" not in repr(request)

    @pytest.mark.parametrize(
        ("written", "kind"),
        [
            ({"uri": "http://x"}, "rest"),
            ({"uri": "HTTPS://x"}, "rest"),
            ({"uri": "postgresql://x"}, "sql"),
            ({}, "sql"),
            ({"type": "glue"}, "glue"),
            ({"type": "acme", "uri": "http://x"}, "acme"),
        ],
    )
    def test_the_type_follows_from_the_address(self, written: dict[str, str], kind: str) -> None:
        assert resolve_catalog(_config(catalog_config=written)).type == kind

    @pytest.mark.parametrize(
        ("written", "uri", "warehouse"),
        [
            ({"uri": "sqlite:///cat.db"}, "sqlite:////conf/cat.db", "file:///conf"),
            (
                {"uri": "sqlite:///db/cat.db?timeout=9"},
                "sqlite:////conf/db/cat.db?timeout=9",
                "file:///conf/db",
            ),
            ({"uri": "sqlite:////abs/cat.db"}, "sqlite:////abs/cat.db", "file:///abs"),
            ({"uri": "sqlite+pysqlite:///c.db"}, "sqlite+pysqlite:////conf/c.db", "file:///conf"),
            ({"uri": "sqlite:///c.db", "warehouse": "data"}, "sqlite:////conf/c.db", "file:///conf/data"),
            ({"uri": "sqlite:///c.db", "warehouse": "/data"}, "sqlite:////conf/c.db", "file:///data"),
            ({"uri": "sqlite:///c.db", "warehouse": "file:///d"}, "sqlite:////conf/c.db", "file:///d"),
            ({"uri": "sqlite:///c.db", "warehouse": "file://d"}, "sqlite:////conf/c.db", "file:///conf/d"),
            ({"uri": "sqlite:///c.db", "warehouse": "s3://b/w"}, "sqlite:////conf/c.db", "s3://b/w"),
            ({"uri": "sqlite:///:memory:"}, "sqlite:///:memory:", None),
            ({"uri": "sqlite://"}, "sqlite://", None),
            ({"uri": "postgresql://h/c"}, "postgresql://h/c", None),
            ({"warehouse": "s3://b/w"}, "sqlite:////conf/warehouse/catalog.db", "s3://b/w"),
        ],
    )
    def test_paths_of_a_sql_catalog_become_absolute(
        self, written: dict[str, str], uri: str, warehouse: str | None
    ) -> None:
        config = _config(catalog_config=written).at(Path("/conf/floe.yaml"))
        properties = resolve_catalog(config).properties
        assert (properties["uri"], properties.get("warehouse")) == (uri, warehouse)

    def test_a_name_of_a_rest_warehouse_is_no_path(self) -> None:
        request = resolve_catalog(_config(catalog_config={"uri": "http://x", "warehouse": "lake"}))
        assert request.properties["warehouse"] == "lake"

    @pytest.mark.parametrize("folder", ["a#b", "a?b"])
    def test_a_folder_that_no_sqlite_address_can_name(self, folder: str) -> None:
        with pytest.raises(InvalidConfigError, match=r"has a \? or # in its path"):
            resolve_catalog(_config(FILES).at(Path("/") / folder / "floe.yaml"))
        elsewhere = {"uri": "sqlite:////abs/c.db", "warehouse": "/abs"}
        resolve_catalog(_config(FILES, catalog_config=elsewhere).at(Path("/") / folder / "floe.yaml"))

    def test_every_problem_is_named(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("GONE", raising=False)
        with pytest.raises(InvalidConfigError) as caught:
            resolve_catalog(_config(catalog_config={"uri": "${GONE}", "a": None, "b": {"c": 1}, "name": " "}))
        assert [path for path, _ in _problems(caught.value)] == [
            "catalog_config.uri",
            "catalog_config.a",
            "catalog_config.b",
            "catalog_config.name",
        ]


class TestWholeConfiguration:
    def test_a_good_one_passes(self, plugins: Plugins, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("SHOP_DB", "x")
        config = _config(SHOP, FILES | {"write_mode": "append", "schema_contract": "evolve"})
        validate_config(config, plugins)
        validate_config(DltIngestionConfig(), plugins)

    def test_one_made_in_python_is_checked_as_a_file_is(
        self, plugins: Plugins, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("GONE", raising=False)
        config = _config(
            FILES | {"resources": {"a": {}, "b": {"cursor": {"lag": 1}}}},
            FILES | {"source_config": {"pth": "x", "path": "y"}},
            FILES | {"name": "c", "source_type": "nope", "cursor": {"lag": 1}},
            catalog_config={"uri": "${GONE}"},
        )
        with pytest.raises(InvalidConfigError) as caught:
            validate_config(config, plugins)
        assert [path for path, _ in _problems(caught.value)] == [
            "catalog_config.uri",
            "sources[0].resources.b.cursor",
            "sources[0].destination_table",
            "sources[1].name",
            "sources[1].source_config.pth",
            "sources[2].source_type",
            "sources[2].cursor",
        ]

    def test_two_sources_may_write_one_table(self, plugins: Plugins) -> None:
        validate_config(_config(FILES, FILES | {"name": "more"}), plugins)
