"""What each hook may return. A check gives the problem in words, or None where there is none."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING

from floe_ingest_hookspecs import ErrorCategory, SourceCheck, SourceType

if TYPE_CHECKING:
    from collections.abc import Callable


def problem_with(hook: str, result: object) -> str | None:
    """Return what is wrong with one plugin's result of a hook, worded to follow "returned "; None if nothing.

    Values are never repeated, since a hook's result may hold credentials; keys and types are.
    """
    check = _CHECKS.get(hook)
    return check(result) if check is not None else None


def _source_types(result: object) -> str | None:
    if not isinstance(result, list | tuple):
        return f"{_kind(result)}; it must return a list of SourceType"
    for item in result:
        if not isinstance(item, SourceType):
            return f"a list that holds {_kind(item)}; every entry must be a SourceType"
    names = [item.name for item in result]
    twice = sorted({name for name in names if names.count(name) > 1})
    return f"the source type {twice[0]!r} twice" if twice else None


def _built_source(result: object) -> str | None:
    return "nothing; it must return a dlt source or resource" if result is None else None


def _source_check(result: object) -> str | None:
    if result is None or isinstance(result, SourceCheck):
        return None
    return f"{_kind(result)}; it must return a SourceCheck, or None where there is no probe"


def _destination_config(result: object) -> str | None:
    if result is None:
        return None
    if not isinstance(result, Mapping):
        return f"{_kind(result)}; it must return a mapping of PyIceberg catalog properties, or None"
    for key, value in result.items():
        if not isinstance(key, str):
            return f"a mapping with the key {key!r}; every key must be text"
        if not isinstance(value, str):
            return f"{_kind(value)} for the property {key!r}; every PyIceberg catalog property is text"
    return None


def _extra_facts(result: object) -> str | None:
    if result is None:
        return None
    if not isinstance(result, Mapping):
        return f"{_kind(result)}; it must return a mapping of JSON-like values"
    for key, value in result.items():
        if not isinstance(key, str):
            return f"a mapping with the key {key!r}; every key must be text"
        try:
            json.dumps(value, allow_nan=False)
        except (TypeError, ValueError) as error:
            return f"{_kind(value)} for {key!r}, which JSON cannot hold ({error})"
    return None


def _error_category(result: object) -> str | None:
    if result is None or isinstance(result, ErrorCategory):
        return None
    return f"{_kind(result)}; it must return an ErrorCategory ({', '.join(ErrorCategory)}), or None"


def _kind(value: object) -> str:
    return "None" if value is None else f"an object of type {type(value).__name__}"


_CHECKS: dict[str, Callable[[object], str | None]] = {
    "floe_ingest_source_types": _source_types,
    "floe_ingest_build_source": _built_source,
    "floe_ingest_check_source": _source_check,
    "floe_ingest_destination_config": _destination_config,
    "floe_ingest_enrich_result": _extra_facts,
    "floe_ingest_categorize_error": _error_category,
}
