"""Sample plugin: each source type breaks one promise of the test kit, and keeps the others.

All read lines of JSON from a file.
"""

from __future__ import annotations

import json
import logging
import sqlite3
import threading
import time
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, Field, PrivateAttr, SecretStr

from floe_ingest import (
    FoundResource,
    MissingPart,
    Requirement,
    SourceCheck,
    SourceConnectionError,
    SourceRequest,
    SourceType,
    hookimpl,
)

if TYPE_CHECKING:
    from collections.abc import Iterator


class Config(BaseModel, frozen=True, extra="forbid"):
    path: str = Field(description="The file.")
    token: SecretStr = Field(default=SecretStr(""), description="A token.")


class Undocumented(BaseModel, frozen=True, extra="forbid"):
    path: str


class OpenSecret(Config):
    api_key: str = Field(default="", description="A key.")


class Lenient(BaseModel, frozen=True):
    path: str = Field(description="The file.")


class Unpicklable(Config):
    _lock: Any = PrivateAttr(default_factory=threading.Lock)


MODELS: dict[str, type[BaseModel]] = {
    "undocumented": Undocumented,
    "open_secret": OpenSecret,
    "lenient": Lenient,
    "unpicklable": Unpicklable,
}
REQUIRES = {
    "no_pip_line": Requirement("json", " "),
    "not_installed": Requirement("acme_absent", "pip install acme"),
}
SOUND = (
    *(
        "sound",
        "secret_in_log",
        "secret_in_row",
        "connects",
        "slow_check",
        "failing_check",
        "finds_nothing",
    ),
    *("misses_something", "check_always_passes", "check_crashes", "changes_types", "fails", "changes"),
    *("spent", "fails_empty", "fills_empty", "forgetful", "hungry", "swallows", "crashes"),
)
_spent: dict[str, Any] = {}
_reads: dict[str, int] = {}


@hookimpl
def floe_ingest_source_types() -> list[SourceType]:
    names = [*SOUND, *MODELS, *REQUIRES]
    return [
        SourceType(
            name, MODELS.get(name, Config), "For a test", (REQUIRES[name],) if name in REQUIRES else ()
        )
        for name in names
    ]


@hookimpl
def floe_ingest_build_source(request: SourceRequest) -> Any:
    import dlt

    if request.source_type == "connects":
        sqlite3.connect(":memory:").close()
    rows = read(request)
    if request.source_type == "spent":
        rows = _spent.setdefault(request.config.path, rows)
    if request.source_type == "hungry":
        rows = hungry(request)
    return dlt.resource(rows, name="rows")


@hookimpl
def floe_ingest_check_source(request: SourceRequest) -> SourceCheck:
    kind = request.source_type
    if kind == "slow_check":
        time.sleep(60)
    if kind == "failing_check":
        raise SourceConnectionError("there is nobody")
    if kind == "check_crashes":
        request.resolve_path(request.config.path).read_bytes()
    if kind != "check_always_passes" and not request.resolve_path(request.config.path).is_file():
        raise SourceConnectionError("path: there is no such file")
    missing = (MissingPart("resource", "orders"),) if kind == "misses_something" else ()
    return SourceCheck(() if kind == "finds_nothing" else (FoundResource("rows"),), missing=missing)


def hungry(request: SourceRequest) -> Iterator[dict[str, Any]]:
    yield from [*read(request)]


def read(request: SourceRequest) -> Iterator[dict[str, Any]]:
    kind, path = request.source_type, request.resolve_path(request.config.path)
    if kind == "fails" or (kind == "crashes" and "broken" in path.name):
        raise SourceConnectionError("the file is locked")
    if kind == "secret_in_log":
        logging.getLogger("acme").info("logging in by %s", request.config.token.get_secret_value())
    if kind == "swallows" and "broken" in path.name:
        return
    _reads[str(path)] = _reads.get(str(path), 0) + 1
    empty = True
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            empty = False
            row = json.loads(line)
            if kind == "changes_types":
                row["id"] = str(row["id"])
            if kind == "changes":
                row["name"] += "!" * (_reads[str(path)] - 1)
            if kind == "secret_in_row":
                row["sent_with"] = request.config.token.get_secret_value()
            yield row
    if empty and kind == "fails_empty":
        raise SourceConnectionError("the file is empty")
    if empty and kind == "fills_empty":
        yield {"id": 0, "name": "nobody"}
