"""Small pieces of messages: lists of words, the nearest word, the kind of a value."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_MOST_SHOWN = 25

# bool stands first, being an int to Python.
_KINDS: tuple[tuple[type | tuple[type, ...], str], ...] = (
    (bool, "true or false"),
    (str, "text"),
    ((int, float), "a number"),
    ((list, tuple), "a list"),
    (dict, "a mapping"),
)


def one_of(words: Sequence[str], conjunction: str = "or") -> str:
    """Return ``a, b or c``; long lists are cut, and say how much."""
    if len(words) > _MOST_SHOWN:
        return f"{', '.join(words[:_MOST_SHOWN])} and {len(words) - _MOST_SHOWN} more"
    if len(words) < 2:
        return "".join(words)
    return f"{', '.join(words[:-1])} {conjunction} {words[-1]}"


def nearest(word: str, words: Iterable[str], cutoff: float = 0.6) -> str | None:
    """Return the word that was most likely meant, if any is near; case does not count."""
    by_folded = {candidate.casefold(): candidate for candidate in words}
    found = get_close_matches(word.casefold(), by_folded, n=1, cutoff=cutoff)
    return by_folded[found[0]] if found else None


def did_you_mean(word: str, words: Iterable[str], cutoff: float = 0.6) -> str:
    """Return ``; did you mean 'x'?``, or nothing where no word is near."""
    found = nearest(word, words, cutoff)
    return f"; did you mean {found!r}?" if found is not None else ""


def kind_of(value: Any) -> str:
    """Return what a value is, in YAML's words, without showing it."""
    if value is None:
        return "nothing"
    for kinds, words in _KINDS:
        if isinstance(value, kinds):
            return words
    return f"a {type(value).__name__}"
