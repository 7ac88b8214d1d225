"""Where in a configuration something is: a tuple of keys and indexes, and what was found there."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

Location = tuple[str | int, ...]

_PLAIN_KEY = re.compile(r"[\w.\-]{1,80}")
_KEY_END = re.compile(r"[^\w.\-]")


@dataclass(frozen=True, slots=True)
class Finding:
    """One problem before it has a line: where it is, and what is wrong there."""

    location: Location
    message: str


def show_key(key: object) -> str:
    """Return a key as messages show it.

    ``{password:hunter2}`` is one key in YAML, since the space is missing. So of a key that is not a plain
    word only the beginning is shown.
    """
    text = str(key)
    if _PLAIN_KEY.fullmatch(text):
        return text
    end = _KEY_END.search(text)
    return f'"{text[: min(end.start() if end else 80, 80)]}…"'


def show_location(location: Location) -> str:
    """Return a location as people write it: ``sources[1].write_mode``."""
    text = ""
    for step in location:
        if isinstance(step, int):
            text += f"[{step}]"
        else:
            text += f".{show_key(step)}" if text else show_key(step)
    return text


def value_at(document: Any, location: Location) -> Any:
    """Return the value at a location, or None where the document has no such place."""
    value = document
    for step in location:
        if isinstance(value, dict):
            value = value.get(step)
        elif isinstance(value, (list, tuple)) and isinstance(step, int) and step < len(value):
            value = value[step]
        else:
            return None
    return value
