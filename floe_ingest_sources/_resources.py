"""What the built-in sources share about dlt and about wording."""

from __future__ import annotations

import difflib
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


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
