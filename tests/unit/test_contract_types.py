"""The types of the contract validate themselves, cannot be changed, and become plain JSON."""

from __future__ import annotations

import dataclasses
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import BaseModel

import floe_ingest
import floe_ingest_hookspecs
from floe_ingest_hookspecs import (
    Attachment,
    BulkScan,
    CatalogRequest,
    Cursor,
    CursorWindow,
    DefinitionsRequest,
    ErrorCategory,
    FoundResource,
    LoadError,
    MissingPart,
    Requirement,
    RunContext,
    RunResult,
    SourceCheck,
    SourceRequest,
    SourceResult,
    SourceType,
    TableResult,
)

if TYPE_CHECKING:
    from collections.abc import Callable


class Config(BaseModel, extra="forbid"):
    path: str = ""


EXAMPLES: tuple[Any, ...] = (
    Attachment("shop", "postgres", secret={"password": "s3cret"}),
    BulkScan("SELECT 1"),
    CatalogRequest("lake", "rest", {"credential": "s3cret"}),
    Cursor("updated_at"),
    CursorWindow("updated_at"),
    DefinitionsRequest(config=None),
    FoundResource("orders"),
    LoadError(ErrorCategory.TRANSIENT, "TimeoutError", "no answer"),
    MissingPart("resource", "ordrs", "Did you mean 'orders'?"),
    Requirement("sqlalchemy", "pip install 'floe-ingest[sql]'"),
    RunContext("run-1", datetime(2026, 1, 2, tzinfo=UTC), ("shop",)),
    RunResult("run-1", success=True, sources=()),
    SourceCheck(),
    SourceRequest("shop", "dns_zone", Config(), "bronze.shop"),
    SourceResult("shop", success=True, duration_seconds=0.0),
    SourceType("dns_zone", Config, "Records of a DNS zone file"),
    TableResult("bronze.orders", 1, 2, 3, committed=True),
)


def example_id(value: object) -> str:
    return type(value).__name__


@pytest.mark.parametrize("value", EXAMPLES, ids=example_id)
def test_no_field_can_be_set(value: Any) -> None:
    for field in dataclasses.fields(value):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(value, field.name, None)


@pytest.mark.parametrize("value", EXAMPLES, ids=example_id)
def test_every_type_has_a_docstring_and_is_exported(value: object) -> None:
    name = type(value).__name__
    assert (type(value).__doc__ or "").splitlines()[0].endswith(".")
    assert name in floe_ingest.__all__
    assert getattr(floe_ingest, name) is type(value) is getattr(floe_ingest_hookspecs, name)


def test_examples_cover_every_type_of_the_contract() -> None:
    exported = [getattr(floe_ingest_hookspecs, name) for name in floe_ingest_hookspecs.__all__]
    classes = {item for item in exported if isinstance(item, type) and dataclasses.is_dataclass(item)}
    assert classes == {type(value) for value in EXAMPLES}


@pytest.mark.parametrize(
    "value",
    [
        CatalogRequest("lake", "rest", {"credential": "s3cret"}),
        Attachment("shop", "postgres", secret={"password": "s3cret"}),
        BulkScan("SELECT * FROM read_csv(?)", ("s3cret",)),
        BulkScan("SELECT 1", attach=(Attachment("shop", "mysql", secret={"password": "s3cret"}),)),
    ],
    ids=["catalog", "attachment", "parameters", "attached"],
)
def test_a_repr_holds_no_secret(value: object) -> None:
    assert "s3cret" not in repr(value)
    assert "s3cret" not in f"{value}"


@pytest.mark.parametrize(
    ("kind", "name", "words"),
    [
        ("table", "orders", "kind must be one of package, permission, resource"),
        ("resource", "", "what is missing"),
    ],
)
def test_a_missing_part_says_what_and_of_which_kind(kind: Any, name: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        MissingPart(kind, name)


class TestSourceType:
    @pytest.mark.parametrize("name", ["a", "dns_zone", "s3", "sql_2"])
    def test_names_that_are_valid(self, name: str) -> None:
        assert SourceType(name, Config, "For a test").name == name

    @pytest.mark.parametrize(
        "name", ["", "DNS", "dns-zone", "2nd", "_dns", "dns zone", "dns\n", "zürich", 7, None]
    )
    def test_names_that_are_not(self, name: Any) -> None:
        with pytest.raises(ValueError, match="lower-case letters, digits and underscores") as raised:
            SourceType(name, Config, "For a test")
        assert repr(name) in str(raised.value)

    @pytest.mark.parametrize("model", [None, dict, Config(), "Config"])
    def test_the_model_is_a_pydantic_class(self, model: Any) -> None:
        with pytest.raises(TypeError, match="config_model of 'dns_zone' must be a pydantic model class"):
            SourceType("dns_zone", model, "For a test")

    @pytest.mark.parametrize("summary", ["", "  ", "two\nlines", None, 7])
    def test_the_summary_is_one_line(self, summary: Any) -> None:
        with pytest.raises(ValueError, match="summary of 'dns_zone' must be one line"):
            SourceType("dns_zone", Config, summary)

    def test_requirements_carry_their_pip_line(self) -> None:
        with pytest.raises(TypeError, match=r"must hold Requirement\(import_name, install\), got 'dlt'"):
            SourceType("dns_zone", Config, "For a test", requires=("dlt",))  # type: ignore[arg-type]


class TestScans:
    @pytest.mark.parametrize("select", ["", "  \n"])
    def test_a_scan_selects_something(self, select: str) -> None:
        with pytest.raises(ValueError, match=r"BulkScan\.select must be a SELECT"):
            BulkScan(select)

    @pytest.mark.parametrize("name", ["", "my shop", "shop;DROP TABLE x", 'a"b', "1st"])
    def test_an_attachment_is_named_by_an_identifier(self, name: str) -> None:
        with pytest.raises(ValueError, match="plain identifier") as raised:
            Attachment(name, "sqlite", "shop.db")
        assert repr(name) in str(raised.value)


class TestRequests:
    def test_a_relative_path_is_relative_to_the_configuration(self, tmp_path: Path) -> None:
        request = SourceRequest("a", "dns_zone", Config(), "b.c", config_folder=tmp_path / "conf")
        assert request.resolve_path("../zones/a.zone") == (tmp_path / "zones" / "a.zone").resolve()
        assert request.resolve_path(str(tmp_path / "a.zone")) == (tmp_path / "a.zone").resolve()

    def test_a_home_folder_is_filled_in(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HOME", str(tmp_path))
        request = SourceRequest("a", "dns_zone", Config(), "b.c", config_folder=Path("/elsewhere"))
        assert request.resolve_path("~/a.zone") == (tmp_path / "a.zone").resolve()

    @pytest.mark.parametrize(
        "make",
        [
            lambda: SourceRequest("a", "dns_zone", Config(), "b.c"),
            lambda: CatalogRequest("lake", "rest", {}),
        ],
        ids=["source", "catalog"],
    )
    def test_without_a_file_the_folder_is_the_working_one(
        self, make: Callable[[], Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        assert make().config_folder == Path.cwd()


class TestResults:
    def test_the_document_of_a_run_is_plain_json_in_the_documented_form(self) -> None:
        tables = (
            TableResult("bronze.orders", 10, 2048, 2**62, committed=True),
            TableResult("bronze.customers", 5, 1024, None, committed=False),
        )
        error = LoadError(ErrorCategory.PARTIAL, "CommitConflictError", "the table changed: é")
        source = SourceResult("shop", False, 1.23456, tables, (error,), {"cost": {"usd": 0.5}})
        document = RunResult("run-1", False, (source, SourceResult("empty", True, 0))).as_dict()
        assert json.loads(json.dumps(document)) == document
        assert document == {
            "run_id": "run-1",
            "success": False,
            "sources": [
                {
                    "name": "shop",
                    "success": False,
                    "duration_seconds": 1.235,
                    "tables": [
                        {
                            "table": "bronze.orders",
                            "rows_loaded": 10,
                            "bytes_written": 2048,
                            "snapshot_id": 2**62,
                            "committed": True,
                        },
                        {
                            "table": "bronze.customers",
                            "rows_loaded": 5,
                            "bytes_written": 1024,
                            "snapshot_id": None,
                            "committed": False,
                        },
                    ],
                    "errors": [
                        {
                            "category": "partial",
                            "type": "CommitConflictError",
                            "message": "the table changed: é",
                        }
                    ],
                    "extra": {"cost": {"usd": 0.5}},
                },
                {"name": "empty", "success": True, "duration_seconds": 0, "tables": [], "errors": []},
            ],
        }
        assert type(document["sources"][0]["errors"][0]["category"]) is str

    def test_a_source_sums_its_tables(self) -> None:
        tables = (TableResult("a.b", 1, 10, 1, committed=True), TableResult("a.c", 2, 20, 2, committed=True))
        source = SourceResult("shop", True, 1.0, tables)
        assert (source.rows_loaded, source.bytes_written) == (3, 30)
        assert SourceResult("shop", True, 1.0).rows_loaded == 0

    def test_results_pickle(self) -> None:
        import pickle

        result = RunResult(
            "r", success=True, sources=(SourceResult("a", success=True, duration_seconds=1.0),)
        )
        assert pickle.loads(pickle.dumps(result)) == result  # noqa: S301

    def test_categories_are_the_documented_words(self) -> None:
        assert [str(category) for category in ErrorCategory] == [
            "transient",
            "permanent",
            "partial",
            "configuration",
        ]


def test_a_cursor_needs_a_field_and_where_it_is_stateless_both_bounds() -> None:
    with pytest.raises(ValueError, match="must name a column"):
        Cursor(" ")
    with pytest.raises(ValueError, match="needs initial_value and end_value"):
        Cursor("at", initial_value=1, stateless=True)


def test_a_resource_may_have_a_cursor_of_its_own_or_none() -> None:
    own = {"orders": Cursor("id"), "stock": None}
    request = SourceRequest(
        "shop", "dns_zone", Config(), "bronze.shop", cursor=Cursor("at"), resource_cursors=own
    )
    assert [request.cursor_of(name) for name in ("orders", "stock", "other")] == [
        Cursor("id"),
        None,
        Cursor("at"),
    ]
