"""What must not be shown: which keys hold secrets, and the removal of their values from messages."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from floe_ingest.redaction import MASK, pattern_of, redact

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from floe_ingest.config.locations import Location

_SECRET_KEY = re.compile(
    r"pass|pwd|secret|token|credential|key|private|auth|sas|signature|dsn|connection|jwt|cookie"
    r"|header|session|bearer|pin\b",
    re.IGNORECASE,
)
# A URL often holds a password, and as often is a plain address that a message needs.
_URL_KEY = re.compile(r"url|uri", re.IGNORECASE)
_MAY_HOLD_CREDENTIALS = re.compile(r"[@?#;=\s]")
_USERINFO = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.\-]*://)(?P<userinfo>[^\s/]+)@")


def is_secret_key(key: object) -> bool:
    """Whether a key's name says that its value may be a secret; rather one too many than too few."""
    return isinstance(key, str) and bool(_SECRET_KEY.search(key) or _URL_KEY.search(key))


def mask_urls(text: str) -> str:
    """Return ``text`` with the user and password of every URL in it removed."""
    return _USERINFO.sub(rf"\g<scheme>{MASK}@", text)


def secret_leaves(value: Any, names: frozenset[str] = frozenset()) -> Iterator[str]:
    """Yield every string of a structure that must not be shown.

    That is: what stands at or below a secret-looking key or one of ``names``, and URLs with a user, with
    their passwords.
    """

    def walk(node: Any, secret: bool) -> Iterator[str]:
        if isinstance(node, dict):
            for key, item in node.items():
                address = isinstance(item, str) and not _MAY_HOLD_CREDENTIALS.search(item)
                plain_url = address and isinstance(key, str) and not _SECRET_KEY.search(key)
                yield from walk(item, secret or key in names or (is_secret_key(key) and not plain_url))
        elif isinstance(node, (list, tuple)):
            for item in node:
                yield from walk(item, secret)
        elif isinstance(node, str):
            userinfo = [match["userinfo"] for match in _USERINFO.finditer(node)]
            if secret or userinfo:
                yield node
            for found in userinfo:
                yield found
                yield found.partition(":")[2]
        elif secret and isinstance(node, (int, float)) and not isinstance(node, bool):
            yield str(node)

    yield from walk(value, secret=False)


def secrets_in(config: Any) -> Iterator[str]:
    """Yield every secret that a validated configuration holds: ``SecretStr`` wherever it stands, and texts
    behind keys that are named like secrets."""
    from pydantic import BaseModel, Secret, SecretBytes, SecretStr

    if isinstance(config, BaseModel):
        config = {name: getattr(config, name) for name in type(config).model_fields} | (
            config.model_extra or {}
        )
    match config:
        case SecretStr() | Secret():
            yield from secret_leaves({"secret": config.get_secret_value()})
        case SecretBytes():
            yield config.get_secret_value().decode("utf-8", "replace")
        case dict():
            for value in config.values():
                yield from secrets_in(value)
            yield from secret_leaves(config)
        case list() | tuple() | set() | frozenset():
            for value in config:
                yield from secrets_in(value)


class Scrubber:
    """Removes given values from messages, also where they were quoted, escaped or percent-encoded.

    Arguments:
        values: what must not be shown.
    """

    def __init__(self, values: Iterable[str]) -> None:
        self._pattern = pattern_of(values)

    def __repr__(self) -> str:
        return "Scrubber()"

    def scrub(self, text: str) -> str:
        """Return ``text`` without the values, and without the users and passwords of URLs."""
        masked = self._pattern.sub(MASK, text) if self._pattern else text
        return redact(mask_urls(masked))


def is_secret_location(location: Location, names: frozenset[str] = frozenset()) -> bool:
    """Whether any key on the way to a location says that what is there may be a secret."""
    return any(is_secret_key(step) or step in names for step in location)
