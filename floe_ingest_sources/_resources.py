"""What the built-in sources share about dlt and about wording."""

from __future__ import annotations

import difflib
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence


def source_of(name: str, resources: Sequence[Any]) -> Any:
    """Return a dlt source over ``resources``.

    dlt takes only identifiers as names of sources; a configuration may call one ``shop-eu``.

    Arguments:
        name: the source's name in the configuration.
        resources: dlt resources.
    """
    import dlt

    return dlt.source(lambda: list(resources), name=dlt_name(name))()


def dlt_name(name: str) -> str:
    """Return ``name`` as dlt accepts it for a source: an identifier."""
    word = re.sub(r"\W", "_", name)
    return word if word.isidentifier() else f"_{word}"


def known_types() -> dict[str, str]:
    """Return dlt's types of the columns that the table of the resource being read has from earlier loads.

    The names are the table's; see ``known_type``.
    """
    import dlt

    table = str(dlt.current.resource().table_name)
    columns = dlt.current.source_schema().tables.get(table, {}).get("columns", {})
    return {name: str(column["data_type"]) for name, column in columns.items() if "data_type" in column}


def known_type(known: Mapping[str, str], column: str) -> str | None:
    """Return dlt's type of the table's column for one of the source; None where there is none yet."""
    if not known:
        return None
    import dlt

    return known.get(dlt.current.source_schema().naming.normalize_identifier(column))


def nearest(word: str, known: Iterable[str]) -> str:
    """Return ``" Did you mean 'x'?"`` for the word of ``known`` that is closest, or an empty text."""
    folded = {candidate.casefold(): candidate for candidate in known}
    found = difflib.get_close_matches(word.casefold(), folded, n=1, cutoff=0.6)
    return f" Did you mean {folded[found[0]]!r}?" if found else ""


def listed(words: Iterable[str], limit: int = 20) -> str:
    """Return words as a list for a message: sorted, cut after ``limit``, ``none`` where there is none."""
    ordered = sorted(words)
    if not ordered:
        return "none"
    shown = ", ".join(ordered[:limit])
    return shown if len(ordered) <= limit else f"{shown} and {len(ordered) - limit} more"
