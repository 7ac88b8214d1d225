"""Looks at sources and at what their loads leave, for the test kit."""

from __future__ import annotations

import re
import sys
from collections import Counter
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, SecretBytes, SecretStr

from floe_ingest.config import options_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

PLANTED = "pl4nted-s3cret-value"
"""Put in the place of every secret, for a load that is to fail."""

_SECRET_NAME = re.compile(
    r"(^|_)(password|passwd|passphrase|secret|token|api_?key|access_key|private_key|credentials?)$"
)
_SHOWN = 5


def undocumented(model: type[BaseModel]) -> list[str]:
    """Return the options of a model, also of models in it, that have no description."""
    return [str(option["name"]) for option in options_of(model) if not str(option["description"]).strip()]


def open_secrets(model: type[BaseModel]) -> list[str]:
    """Return the options whose names are those of secrets and that are plain text."""
    return [
        str(option["name"])
        for option in options_of(model)
        if _SECRET_NAME.search(str(option["name"]).rpartition(".")[2].lower())
        and "text" in str(option["type"])
        and "secret text" not in str(option["type"])
    ]


def secrets_of(value: Any) -> set[str]:
    """Return the values of every secret in a model, at any depth."""
    if isinstance(value, SecretStr):
        return {value.get_secret_value()} - {""}
    if isinstance(value, SecretBytes):
        return {value.get_secret_value().decode(errors="replace")} - {""}
    if isinstance(value, BaseModel):
        parts: Sequence[Any] = [getattr(value, name) for name in type(value).model_fields]
    elif isinstance(value, dict):
        parts = list(value.values())
    elif isinstance(value, (list, tuple)):
        parts = value
    else:
        return set()
    return set().union(*(secrets_of(part) for part in parts))


def with_planted_secrets(settings: Mapping[str, Any], model: type[BaseModel]) -> dict[str, Any] | None:
    """Return settings whose secret fields at the top level hold ``PLANTED``; None without such a field."""
    secret = {option["name"] for option in options_of(model) if "secret text" in str(option["type"])}
    planted = {name: PLANTED for name in settings if name in secret}
    return {**settings, **planted} if planted else None


def files_with(secret: str, folders: Sequence[Path]) -> Iterator[Path]:
    """Yield the files below these folders that hold a text."""
    sought = secret.encode()
    for folder in folders:
        for file in sorted(folder.rglob("*")):
            if file.is_file() and sought in file.read_bytes():
                yield file


_CONNECTING = ("socket.connect", "sqlite3.connect", "socket.getaddrinfo")
_listeners: list[list[str]] = []
_hooked: list[bool] = []


@contextmanager
def connections() -> Iterator[list[str]]:
    """Give a list that fills with the connections opened meanwhile, in any thread.

    By Python's audit events (PEP 578): ``socket.connect``, ``socket.getaddrinfo`` and ``sqlite3.connect``. An
    audit hook cannot be taken off, so there is one for the process, which tells those who listen.
    """
    if not _hooked:
        sys.addaudithook(_tell)
        _hooked.append(True)
    opened: list[str] = []
    _listeners.append(opened)
    try:
        yield opened
    finally:
        _listeners.remove(opened)


def _tell(event: str, _arguments: tuple[Any, ...]) -> None:
    if _listeners and event in _CONNECTING:
        for opened in _listeners:
            opened.append(event)


def same_rows(found: list[dict[str, Any]], expected: list[dict[str, Any]], table: str, when: str) -> None:
    """Compare rows without their order, by the columns of the expected ones.

    Raises:
        AssertionError: they differ; says which rows are missing, which were not expected, and what to do.
    """
    names = list(dict.fromkeys(name for row in expected for name in row))
    left = sorted(_as_text(row, names) for row in found)
    right = sorted(_as_text(row, names) for row in expected)
    if left == right:
        return
    missing, surplus = _without(right, left), _without(left, right)
    raise AssertionError(
        f"Table {table!r} is not what was expected {when}: it has {len(left)} rows, expected were "
        f"{len(right)}.\nMissing: {_some(missing)}\nNot expected: {_some(surplus)}\n"
        f"Yield what the source holds, each time that it is read, with types that keep its values; or "
        f"correct what this class expects."
    )


def _as_text(row: Mapping[str, Any], names: Sequence[str]) -> str:
    return ", ".join(f"{name}={_plain(row.get(name))!r}" for name in names)


def _plain(value: Any) -> Any:
    """Return a value under which the same moment looks the same, whatever zone it is told in."""
    if isinstance(value, datetime) and value.tzinfo is not None:
        return value.astimezone(UTC)
    if isinstance(value, dict):
        return {name: _plain(part) for name, part in sorted(value.items())}
    return [_plain(part) for part in value] if isinstance(value, list) else value


def _without(rows: Sequence[str], others: Sequence[str]) -> list[str]:
    return sorted((Counter(rows) - Counter(others)).elements())


def _some(rows: Sequence[str]) -> str:
    if not rows:
        return "none"
    more = f" and {len(rows) - _SHOWN} more" if len(rows) > _SHOWN else ""
    return "; ".join(rows[:_SHOWN]) + more


def count_items(source: Any) -> int:
    """Return how many items (rows, batches, scans) a source's resources yield."""
    from floe_ingest.engine.resources import as_source

    return sum(1 for _ in as_source(source, "tested", "under test"))
