"""Documented fields whose behaviour is not there yet. They are refused, never ignored.

``NOT_YET`` is the whole of it: who builds a behaviour deletes its row.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from floe_ingest.config.locations import Finding, Location

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from floe_ingest.config.models import TableOptions


@dataclass(frozen=True, slots=True)
class NotYet:
    """A field that cannot be used yet.

    Arguments:
        field: a field of a source or resource.
        instead: what to do until then.
    """

    field: str
    instead: str

    def message(self) -> str:
        """Return the refusal, to stand after the field's location."""
        return f"is not supported yet; {self.instead}"


NOT_YET: tuple[NotYet, ...] = (NotYet("cursor_field", "leave it out"),)


def unsupported(source: Mapping[str, Any], location: Location) -> Iterator[Finding]:
    """Yield what one source uses that is not there yet.

    Arguments:
        source: the fields that were written, its ``resources`` as mappings likewise.
        location: where the source stands.
    """
    yield from _options(source, location)
    resources = source.get("resources")
    if isinstance(resources, dict):
        for name, options in resources.items():
            if isinstance(options, dict):
                yield from _options(options, (*location, "resources", name))


def _options(options: Mapping[str, Any], location: Location) -> Iterator[Finding]:
    for row in NOT_YET:
        value = options.get(row.field)
        if value is not None:
            yield Finding((*location, row.field), row.message())


def written(options: TableOptions) -> dict[str, Any]:
    """Return the fields of a model that were set, models inside it likewise."""
    fields = {name: getattr(options, name) for name in options.model_fields_set}
    resources = fields.get("resources")
    if isinstance(resources, dict):
        fields["resources"] = {name: written(resource) for name, resource in resources.items()}
    return fields
