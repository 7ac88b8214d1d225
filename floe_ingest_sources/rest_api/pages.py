"""The pages of a resource: how many, where reading stopped, and whether they become Arrow."""

from __future__ import annotations

import itertools
from functools import partial
from typing import TYPE_CHECKING, Any

from floe_ingest import CertificateError, IngestionError, SourceConfigurationError, SourceConnectionError
from floe_ingest_sources._resources import known_types
from floe_ingest_sources.rest_api.wording import clean, said

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from floe_ingest_sources.rest_api.config import RestApiConfig

_NATIVE_CURSORS = (max, min)


def shape(source: Any, document: Mapping[str, Any], config: RestApiConfig, *, probing: bool) -> None:
    """Give the resources of dlt's source what dlt's configuration has no words for.

    Arguments:
        source: dlt's source; changed.
        document: dlt's configuration.
        config: the whole configuration.
        probing: whether only the first page of each is wanted, as records.

    Raises:
        SourceConfigurationError: ``nested: native`` or ``max_pages`` cannot be had for a resource.
    """
    described = {name: resource for name, resource in _described(document) if name in source.resources}
    native = _native(source, described, config)
    for name, resource in source.resources.items():
        _read_pages(resource, native=name in native and not probing)
        if resource.is_transformer:
            continue
        pipe = resource._pipe  # noqa: SLF001 (dlt has no other way to wrap what a resource iterates)
        in_arrow = name in native and not probing
        max_pages = 1 if probing else config.max_pages
        pipe.replace_gen(partial(_pages, pipe.gen, name, config.client["base_url"], max_pages, in_arrow))
        if in_arrow and config.timestamps:
            resource.add_map(_timing(config.timestamps, name))


def _read_pages(resource: Any, *, native: bool) -> None:
    """Put our reader of pages in the place of dlt's."""
    from floe_ingest_sources.rest_api.page_reader import PageReader, looks_into_records

    arguments = resource.explicit_args
    as_arrow = native and not looks_into_records(arguments["paginator"])
    arguments["client"].extract_response = PageReader(arguments["client"], native=as_arrow)


def _described(document: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    defaults = document.get("resource_defaults") or {}
    for resource in document["resources"]:
        if isinstance(resource, str):
            yield resource, defaults
        elif isinstance(resource, dict):
            yield resource["name"], {**defaults, **resource, "endpoint": _endpoint(defaults, resource)}


def _endpoint(*resources: Mapping[str, Any]) -> dict[str, Any]:
    merged: dict[str, Any] = {}
    for resource in resources:
        endpoint = resource.get("endpoint") or {}
        merged |= {"path": endpoint} if isinstance(endpoint, str) else endpoint
    return merged


def _native(source: Any, described: Mapping[str, Any], config: RestApiConfig) -> frozenset[str]:
    """Return the resources whose pages become Arrow."""
    modes = (
        config.nested if isinstance(config.nested, dict) else dict.fromkeys(source.resources, config.nested)
    )
    unknown = sorted(set(modes) - set(source.resources))
    problems = [f"nested.{name} names no resource" for name in unknown]
    chosen = frozenset(name for name, mode in modes.items() if mode == "native") - set(unknown)
    problems += [
        f"resource {name!r} cannot be loaded with nested: native, since {reason}"
        for name in sorted(chosen)
        for reason in _against(source.resources[name], source, described.get(name, {}))
    ]
    cursors = {cursor for name in chosen if (cursor := _cursor(described.get(name, {})))}
    problems += [
        f"timestamps names {column!r}, by which a resource is incremental; a cursor stays as the API has it"
        for column in sorted(set(config.timestamps) & cursors)
    ]
    if config.timestamps and not chosen:
        problems.append("timestamps counts with nested: native alone; child tables find times by themselves")
    if problems:
        advice = (
            " Write nested: tables, or a mapping such as nested: {RESOURCE: native} for single resources."
        )
        raise SourceConfigurationError(f"The REST configuration cannot work: {'; '.join(problems)}.{advice}")
    return chosen


def _against(resource: Any, source: Any, described: Mapping[str, Any]) -> Iterator[str]:
    if resource.is_transformer:
        yield "it is read once for each record of another resource"
    pipe = resource._pipe  # noqa: SLF001
    if children := [name for name, other in source.resources.items() if other._pipe.parent is pipe]:  # noqa: SLF001
        yield f"{', '.join(sorted(children))} is read for each of its records"
    if described.get("processing_steps"):
        yield "its processing_steps work on single records"
    incremental = _incremental(described)
    cursor = incremental.get("cursor_path") if incremental else None
    if cursor and not str(cursor).isidentifier():
        yield f"its cursor_path {cursor!r} is no top-level key"
    if incremental and incremental.get("last_value_func") not in (None, *_NATIVE_CURSORS):
        yield "its last_value_func is neither max nor min"


def _incremental(described: Mapping[str, Any]) -> Mapping[str, Any]:
    endpoint = described.get("endpoint") or {}
    params = endpoint.get("params")
    bound = [
        value
        for value in (params.values() if isinstance(params, dict) else ())
        if isinstance(value, dict) and value.get("type") == "incremental"
    ]
    return endpoint.get("incremental") or (bound[0] if bound else {})


def _cursor(described: Mapping[str, Any]) -> str | None:
    return _incremental(described).get("cursor_path")


def check_limits(document: Mapping[str, Any], max_pages: int | None) -> Iterator[str]:
    """Yield why ``max_pages`` would lose records: a cursor passes over what comes in the wrong order."""
    if max_pages is None:
        return
    for name, described in _described(document):
        incremental = _incremental(described)
        if incremental and incremental.get("row_order") != "asc":
            yield (
                f"resource {name!r} is incremental, and max_pages ends it early: the next run goes on from "
                f"the largest {incremental.get('cursor_path')!r} so far, so the API has to give the oldest "
                f"records first. If it does, write row_order: asc beside cursor_path"
            )


def _pages(gen: Any, name: str, base_url: str, max_pages: int | None, native: bool) -> Iterator[Any]:
    """Yield pages, or Arrow tables of them; the table is there also if there is no record."""
    import dlt

    count = _Count()
    pages = itertools.islice(_located(gen, name, base_url, count), max_pages)
    if native:
        from floe_ingest_sources.rest_api.native import arrow_tables

        yield from arrow_tables(pages, name, known_types())
    else:
        yield from pages
    if not count.records:
        yield dlt.mark.materialize_table_schema()


class _Count:
    def __init__(self) -> None:
        self.pages = 0
        self.records = 0


def _located(gen: Callable[[], Any] | Any, name: str, base_url: str, count: _Count) -> Iterator[Any]:
    import requests

    try:
        for page in gen() if callable(gen) else gen:
            count.pages += 1
            count.records += len(page) if isinstance(page, list) else 1
            yield page
    except IngestionError:
        raise
    except (requests.RequestException, ValueError, KeyError, TypeError) as error:
        if isinstance(error, requests.RequestException):
            reason = said(error, base_url)
        else:
            # Of a paginator, a selector or a response action; its text may quote what the API sent.
            reason = f"{type(error).__name__} in the answer: {error}"
        where = f"page {count.pages + 1}, after {count.records:,} records"
        if (untrusted := CertificateError.of(error)) is not None:
            raise CertificateError(f"Resource {name!r} stopped at {where}: {untrusted}") from clean(error)
        raise SourceConnectionError(f"Resource {name!r} stopped at {where}: {reason}") from clean(error)


def _timing(columns: tuple[str, ...], name: str) -> Callable[[Any], Any]:
    """Return a step that makes times of text. It comes after the cursor's, which sees what the API wrote."""

    def to_times(item: Any) -> Any:
        from floe_ingest_sources.rest_api.native import with_times

        return with_times(item, columns, name)

    return to_times
