"""What is known of a plugin, and the words with which messages speak of it."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from floe_ingest.redaction import redact

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from floe_ingest_hookspecs import SourceType

_LISTED = 30


@dataclass(frozen=True, slots=True)
class PluginInfo:
    """One plugin, loaded or not.

    Arguments:
        name: unique in its manager: the entry point's name, or the caller's word for it.
        distribution: the distribution that brings it; None for one that the caller registered.
        version: that distribution's version; None as above.
        entry_point: the entry point's value, such as ``acme_dns.plugin``; None as above.
        hooks: full names of the hooks that it implements.
        source_types: names of the source types that it declares.
        error: why it did not load (its import failed, or it does not keep the contract), or why its source
            types could not be had; None if all is well.
    """

    name: str
    distribution: str | None = None
    version: str | None = None
    entry_point: str | None = None
    hooks: tuple[str, ...] = ()
    source_types: tuple[str, ...] = ()
    error: str | None = None

    def __str__(self) -> str:
        if self.distribution is None:
            return f"{self.name!r} (registered by the caller)"
        return f"{self.name!r} of {self.distribution} {self.version} ({self.entry_point})"


@dataclass(frozen=True, slots=True)
class RegisteredType:
    """A source type together with the plugin that declared it."""

    source_type: SourceType
    plugin: PluginInfo


def told(info: PluginInfo) -> dict[str, str | None]:
    """Return what an event in the log says of a plugin."""
    return {
        "plugin": info.name,
        "distribution": info.distribution,
        "version": info.version,
        "entry_point": info.entry_point,
    }


def listed(words: Iterable[str]) -> str:
    """Return ``words`` sorted and comma-separated, shortened where there are very many."""
    ordered = sorted(words)
    if not ordered:
        return "none"
    more = len(ordered) - _LISTED
    text = ", ".join(ordered[:_LISTED])
    return f"{text} and {more} more" if more > 0 else text


def nearest(word: str, choices: Collection[str]) -> str | None:
    """Return the choice that ``word`` was probably meant to be, or None."""
    found = difflib.get_close_matches(word, choices, n=1)
    return found[0] if found else None


def did_you_mean(word: str, choices: Collection[str]) -> str:
    """Return a sentence, with a space before it, that offers the nearest choice; empty if none is near."""
    choice = nearest(word, choices)
    return f" Did you mean {choice!r}?" if choice is not None else ""


def cause(error: BaseException) -> str:
    """Return an exception as one phrase, its class and its message, without secrets."""
    return redact(f"{type(error).__name__}: {error}")
