"""The models: what Python code makes of them."""

from __future__ import annotations

import copy
import json
import pickle
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from floe_ingest.config import DltIngestionConfig, ResourceConfig, RetryConfig, SourceConfig

pytestmark = [
    pytest.mark.requirement("FR-067"),
    pytest.mark.requirement("FR-068"),
    pytest.mark.requirement("FR-069"),
    pytest.mark.requirement("FR-071"),
    pytest.mark.requirement("FR-072"),
]

SOURCE: dict[str, Any] = {
    "name": "shop",
    "source_type": "sql_database",
    "source_config": {"url": "${SHOP_DB}", "tables": ["orders"]},
    "destination_table": "bronze.shop_{resource}",
}


def test_the_least_that_must_be_written() -> None:
    source = SourceConfig(name="a", source_type="b", destination_table="c.d")
    assert source.source_config == {}
    assert source.resources == {}
    unset = ResourceConfig.model_fields
    assert {name: getattr(source, name) for name in unset} == dict.fromkeys(unset)
    assert DltIngestionConfig().sources == ()
    assert DltIngestionConfig().retry_config == RetryConfig(max_retries=3, initial_delay_seconds=1.0)


def test_the_environment_does_not_enter_the_object(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_DB", "postgresql://me:hunter2@db/shop")
    config = DltIngestionConfig(sources=[SOURCE], catalog_config={"credential": "${SHOP_DB}"})
    assert config.sources[0].source_config["url"] == "${SHOP_DB}"
    assert config.catalog_config == {"credential": "${SHOP_DB}"}
    for text in (repr(config), str(config), str(config.model_dump()), config.model_dump_json()):
        assert "hunter2" not in text


def test_plain_fields_have_the_environment_filled_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAYER", "bronze")
    monkeypatch.setenv("TIMES", "7")
    config = DltIngestionConfig(
        retry_config={"max_retries": "${TIMES}"},
        sources=[
            SOURCE
            | {
                "destination_table": "${LAYER}.shop_{resource}",
                "primary_key": ["${LAYER}_id", "line"],
                "table_properties": {"owner": "$${LAYER} is ${LAYER}"},
                "resources": {"orders": {"cursor_field": "${LAYER}_at"}},
            }
        ],
    )
    (source,) = config.sources
    assert config.retry_config.max_retries == 7
    assert source.destination_table == "bronze.shop_{resource}"
    assert source.primary_key == ("bronze_id", "line")
    assert source.table_properties == {"owner": "${LAYER} is bronze"}
    assert source.resources["orders"].cursor_field == "bronze_at"


def test_a_missing_variable_of_a_plain_field_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LAYER", raising=False)
    with pytest.raises(ValidationError, match="environment variable LAYER is not set"):
        SourceConfig(**(SOURCE | {"destination_table": "${LAYER}.orders"}))


def test_literal_secrets_appear_in_no_repr() -> None:
    source = SOURCE | {"source_config": {"password": "hunter2"}}
    config = DltIngestionConfig(sources=[source], catalog_config={"credential": "hunter2"})
    assert "hunter2" not in repr(config) + str(config) + repr(config.sources[0])
    with pytest.raises(ValidationError) as caught:
        DltIngestionConfig(
            sources=[source | {"write_mod": "hunter2"}], catalog_config={"credential": "hunter2"}
        )
    assert "hunter2" not in str(caught.value) + repr(caught.value)


def test_options_of_a_resource_go_over_those_of_its_source() -> None:
    source = SourceConfig(
        **SOURCE,
        write_mode="append",
        primary_key=["id"],
        table_properties={"a": 1, "b": True, "c": 0.5},
        resources={"orders": {"write_mode": "replace", "primary_key": None}, "items": {"sort_by": "id desc"}},
    )
    orders, items, other = (source.options_for(name) for name in ("orders", "items", "customers"))
    assert (orders.write_mode, orders.primary_key) == ("replace", None)
    assert orders.table_properties == {"a": "1", "b": "true", "c": "0.5"}
    assert orders.model_fields_set == {"write_mode", "table_properties"}
    assert (items.write_mode, items.primary_key, items.sort_by) == ("append", ("id",), ("id desc",))
    assert other.model_fields_set == {"write_mode", "primary_key", "table_properties"}
    assert type(other) is ResourceConfig


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("id", ("id",)),
        ("identity(id)", ("id",)),
        (["day(created_at)", "bucket[16](id)"], ("day(created_at)", "bucket[16](id)")),
        ([" TRUNCATE[ 4 ] ( name ) "], ("truncate[4](name)",)),
        (["hour(address.at)"], ("hour(address.at)",)),
    ],
)
def test_partition_transforms_are_kept_in_one_form(written: Any, kept: tuple[str, ...]) -> None:
    assert ResourceConfig(partition_by=written).partition_by == kept


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("days(at)", "did you mean 'day'"),
        ("bucket(id)", r"write bucket\[16\]\(column\)"),
        ("bucket[0](id)", "between 1 and 2147483647"),
        ("bucket[x](id)", "between 1 and 2147483647"),
        ("bucket[²](id)", "between 1 and 2147483647"),
        ("truncate[2147483648](id)", "between 1 and 2147483647"),
        ("day[2](at)", r"day takes no number; write day\(column\)"),
        ("day()", "is not a partition transform"),
        ("day(at", "is not a partition transform"),
        ("bucket(16, id)", "is not a partition transform"),
        ("a b", "is not a partition transform"),
        ("", "is not a partition transform"),
        (["id", "identity(id)"], "id more than once"),
    ],
)
def test_partition_transforms_that_are_none(written: Any, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        ResourceConfig(partition_by=written)


def test_sort_fields() -> None:
    assert ResourceConfig(sort_by=["a", "b ASC", "c  Desc"]).sort_by == ("a", "b", "c desc")
    for wrong in ("a up", "desc(a)", "", "a, b"):
        with pytest.raises(ValidationError, match="is not a sort field"):
            ResourceConfig(sort_by=wrong)


@pytest.mark.parametrize(
    "table",
    ["raw.orders", "a.b.c", "raw.{resource}", "{resource}.data", "raw.shop_{resource}_v2", "Raw.Zölle-1"],
)
def test_destinations(table: str) -> None:
    assert SourceConfig(**(SOURCE | {"destination_table": table})).destination_table == table


@pytest.mark.parametrize(
    "table", ["orders", "{resource}", "raw.", ".orders", "raw.a b", "raw.{}", "raw.{resource", "raw.a/b", ""]
)
def test_destinations_that_are_none(table: str) -> None:
    with pytest.raises(ValidationError, match="destination_table"):
        SourceConfig(**(SOURCE | {"destination_table": table}))


def test_models_are_frozen_and_survive_copies() -> None:
    config = DltIngestionConfig(sources=[SOURCE]).at(Path("somewhere/floe.yaml"))
    with pytest.raises(ValidationError, match="frozen"):
        config.sources = ()  # type: ignore[misc]
    for same in (pickle.loads(pickle.dumps(config)), copy.deepcopy(config), config.model_copy()):  # noqa: S301
        assert same == config
        assert same.folder == Path.cwd() / "somewhere"
    assert DltIngestionConfig.model_validate(config.model_dump()).sources == config.sources


def test_without_a_file_the_folder_is_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = DltIngestionConfig(sources=[SOURCE])
    monkeypatch.chdir(tmp_path)
    assert config.path is None
    assert config.folder == tmp_path


def _fields(model: type[BaseModel]) -> list[tuple[str, Any]]:
    return [(f"{model.__name__}.{name}", info) for name, info in model.model_fields.items()]


@pytest.mark.parametrize(
    ("name", "info"),
    [
        pytest.param(name, info, id=name)
        for model in (DltIngestionConfig, SourceConfig, ResourceConfig, RetryConfig)
        for name, info in _fields(model)
    ],
)
def test_every_field_has_a_description_and_examples_that_are_valid(name: str, info: Any) -> None:
    assert info.description.endswith(".")
    models = {
        model.__name__: model for model in (DltIngestionConfig, SourceConfig, ResourceConfig, RetryConfig)
    }
    model, field = name.split(".")
    around = SOURCE if model == "SourceConfig" else {}
    for example in info.examples:
        assert getattr(models[model](**(around | {field: example})), field) is not None


def test_the_schema_is_json_and_takes_what_the_models_take() -> None:
    schema = json.loads(json.dumps(DltIngestionConfig.model_json_schema()))
    source = schema["$defs"]["SourceConfig"]
    assert list(source["properties"])[:4] == ["name", "source_type", "source_config", "destination_table"]
    assert source["required"] == ["name", "source_type", "destination_table"]
    kinds = [kind.get("type") for kind in source["properties"]["primary_key"]["anyOf"]]
    assert kinds == ["string", "array", "null"]
