"""Sources that an orchestrator has built itself, made so that each try of a load gets them anew."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from floe_ingest.errors import PipelineConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable

    from dlt.extract import DltSource


def rebuilt(source: Any, name: str, table: str) -> tuple[Callable[[], Any], bool]:
    """Return what builds a source anew for each try, and whether it gives its rows more than once.

    Arguments:
        source: a dlt source or resource, a list of resources, a callable that returns one of these or rows,
            or rows: a list, an Arrow table, an iterator.
        name: the source's name. dlt keeps schemas and cursors under it, so it is the same however the source
            was built.
        table: what rows without a resource of their own are called.

    Raises:
        PipelineConfigurationError: it is none of these.
    """
    from dlt.extract import DltResource, DltSource

    if callable(source) and not isinstance(source, DltResource | DltSource):
        return lambda: _as_source(source(), name, table), True
    whole = _as_source(source, name, table)
    # A load changes hints and adds steps, so each try takes a copy.
    return whole.clone, _gives_rows_again(whole)


def _as_source(built: Any, name: str, table: str) -> DltSource:
    import dlt
    from dlt.common.schema import Schema
    from dlt.common.schema.utils import normalize_schema_name
    from dlt.extract import DltResource, DltSource

    schema = normalize_schema_name(name)
    if isinstance(built, DltSource):
        return built.clone(with_name=schema)
    if isinstance(built, DltResource):
        resources = [built]
    elif isinstance(built, list | tuple) and built and all(isinstance(part, DltResource) for part in built):
        resources = list(built)
    elif isinstance(built, str | bytes | dict) or not (
        hasattr(built, "__iter__") or hasattr(built, "to_batches")
    ):
        raise PipelineConfigurationError(
            f"`source` is of type {type(built).__name__}, from which nothing can be loaded. Give a dlt "
            f"source, a resource, a list of resources, a callable that returns one, or rows."
        )
    else:
        resources = [dlt.resource(built, name=table)]
    return DltSource(Schema(schema), name, resources)


def _gives_rows_again(source: DltSource) -> bool:
    """Return whether no resource is bound to an iterator, which is spent after its first use."""
    for resource in source.resources.values():
        pipe = resource._pipe  # noqa: SLF001 (dlt tells in no other way whether a resource can be repeated)
        while pipe is not None:
            if isinstance(pipe.gen, Iterator):
                return False
            pipe = pipe.parent
    return True
