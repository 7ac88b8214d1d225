"""The configuration models: what is refused, with which words, and what their repr shows."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from floe_ingest_sources.filesystem import FilesystemConfig
from floe_ingest_sources.rest_api import RestApiConfig
from floe_ingest_sources.sql_database import SqlDatabaseConfig

URL = "postgresql://me:hunter2@db/shop"


def problem(model: type[BaseModel], **config: Any) -> str:
    with pytest.raises(ValidationError) as caught:
        model.model_validate(config)
    text = str(caught.value)
    assert "hunter2" not in text
    return text


@pytest.mark.parametrize("model", [FilesystemConfig, RestApiConfig, SqlDatabaseConfig])
def test_each_field_is_described_and_unknown_keys_are_refused(model: type[BaseModel]) -> None:
    assert all(field.description for field in model.model_fields.values())
    assert "wibble" in problem(model, wibble=1)


class TestSqlDatabase:
    def test_aliases_and_defaults(self) -> None:
        config = SqlDatabaseConfig.model_validate({"credentials": URL, "table": "t", "schema": "s"})
        assert config.url.get_secret_value() == URL
        assert (config.backend, config.batch_rows, config.names, config.db_schema) == (
            "auto",
            100_000,
            ("t",),
            "s",
        )

    def test_the_password_is_in_no_repr(self) -> None:
        assert "hunter2" not in repr(SqlDatabaseConfig.model_validate({"url": URL}))

    @pytest.mark.parametrize(
        ("config", "words"),
        [
            ({"table": "a", "tables": ["b"]}, "table and tables exclude each other"),
            ({"table": "a", "query": "select 1"}, "table and query exclude each other"),
            ({"query": "select 1", "where": "x"}, "where is for tables; write it into the query"),
            ({"query": "select 1", "columns": ["x"]}, "columns is for tables"),
            ({"tables": ["a", "b"], "columns": ["x"]}, "columns is for one table"),
            ({"where": "x = 1"}, "where is for one table"),
            ({"tables": ["a"], "where": {"b": "x"}}, "where is for table 'b', which is not read; read are a"),
            ({"tables": []}, "at least 1 item"),
            ({"batch_rows": 0}, "greater than or equal to 1"),
            ({"shards": 0}, "greater than or equal to 1"),
            ({"shards": "many"}, "'auto'"),
            ({"table": "a", "shard_column": "id"}, "shard_column has no effect without shards"),
            ({"backend": "pandas"}, "'auto', 'duckdb'"),
            ({"credentials": URL}, "url and credentials mean the same"),
        ],
    )
    def test_what_cannot_work_is_refused(self, config: dict[str, Any], words: str) -> None:
        assert words in problem(SqlDatabaseConfig, url=URL, **config)

    def test_columns_and_conditions_of_each_table(self) -> None:
        config = SqlDatabaseConfig.model_validate(
            {"url": URL, "tables": ["a", "b"], "columns": {"a": ["x"]}, "where": {"b": "y > 1"}}
        )
        assert [config.columns_of(name) for name in ("a", "b")] == [("x",), None]
        assert [config.where_of(name) for name in ("a", "b")] == [None, "y > 1"]


class TestFilesystem:
    @pytest.mark.parametrize(
        ("config", "words"),
        [
            ({"bucket_url": "b"}, "bucket_url and path mean the same"),
            ({"file_glob": "*", "include_glob": "*"}, "file_glob and include_glob mean the same"),
            ({"tables": {"a": "*"}, "file_glob": "*.csv"}, "leave file_glob out"),
            ({"tables": {}}, "at least 1 item"),
            ({"format": "xml"}, "'auto', 'parquet', 'csv', 'jsonl' or 'arrow'"),
            ({"csv": {"decimal": ","}}, "decimal and delimiter are both ','"),
            ({"lookback_seconds": 5}, "counts with incremental: modified alone"),
            ({"nested": "tables", "file_columns": ["_file_name"]}, "nested: tables has no further columns"),
            ({"storage_options": "hunter2"}, "valid dictionary"),
            ({"csv": {"delimiter": ";;"}}, "at most 1 character"),
            ({"csv": {"header": False}}, "header: false needs names"),
            ({"csv": {"names": ["a", "A"]}}, "has a name twice"),
            ({"csv": {"types": {"a": "MONEY"}}}, "column 'a' cannot have the type 'MONEY'; use BOOLEAN"),
            ({"csv": {"date_format": "%d/%m/%Y %H:%M"}}, "must describe a date alone"),
            ({"csv": {"quote": ","}}, "they must differ"),
            ({"csv": {"encoding": "koi8"}}, "'utf-8', 'utf-16' or 'latin-1'"),
            ({"reader_options": {"ignore_errors": True}}, "ignore_errors"),
        ],
    )
    def test_what_cannot_work_is_refused(self, config: dict[str, Any], words: str) -> None:
        assert words in problem(FilesystemConfig, path="data", **config)

    def test_storage_secrets_are_in_no_repr(self) -> None:
        config = FilesystemConfig.model_validate({"path": "d", "storage_options": {"secret": "hunter2"}})
        assert "hunter2" not in repr(config)


class TestRestApi:
    def test_no_part_of_it_is_in_the_repr(self) -> None:
        config = RestApiConfig(
            client={"base_url": "http://x", "auth": {"token": "hunter2"}},
            resources=[{"name": "a", "endpoint": {"params": {"key": "hunter2"}}}],
        )
        assert "hunter2" not in repr(config)
        assert "hunter2" not in str(config)

    def test_it_needs_a_resource(self) -> None:
        assert "at least 1 item" in problem(RestApiConfig, client={"base_url": "http://x"}, resources=[])
