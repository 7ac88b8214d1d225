"""The servers' secrets, each by the name that a person may read: what nothing that a run leaves may hold."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_LEAST = 12
_names: dict[str, str] = {}


def known(name: str, value: str) -> str:
    """Note a secret, and return it.

    Arguments:
        name: what it is, as in "MinIO's secret key". It is shown where the value is found.
        value: the secret.

    Raises:
        ValueError: it is so short that it may stand somewhere by chance.
    """
    if len(value) < _LEAST:
        raise ValueError(f"{name} has {len(value)} characters; it takes {_LEAST} to tell it from other text")
    _names[value] = name
    return value


def all_known() -> Mapping[str, str]:
    """Return the names of all secrets of this process, by their values."""
    return dict(_names)
