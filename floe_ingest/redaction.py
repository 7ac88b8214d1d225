"""Removes secrets from texts that people or machines will read."""

from __future__ import annotations

import re

MASK = "***"

_WORDS = (
    r"(?:password|passwd|pwd|secret|token|credential|api[_-]?key|access[_-]?key(?:[_-]?id)?"
    r"|private[_-]?key|sig)"
)
_RULES: tuple[tuple[re.Pattern[str], str], ...] = (
    # user:password@ in URLs; the password may itself hold an @, so take the last one before a / or space
    (re.compile(r"(?P<head>[a-z][a-z0-9+.-]*://[^\s:/@]*):[^\s/]+@", re.IGNORECASE), rf"\g<head>:{MASK}@"),
    (re.compile(r"(?P<head>\b(?:bearer|basic)\s+)[A-Za-z0-9+/=._~-]{6,}", re.IGNORECASE), rf"\g<head>{MASK}"),
    (
        re.compile(
            rf"(?P<head>[\"']?\b[\w.-]*{_WORDS}[\w.-]*[\"']?\s*[=:]\s*)"
            rf"(?P<value>\"[^\"]*\"|'[^']*'|[^\s,;&)}}\]]+)",
            re.IGNORECASE,
        ),
        rf"\g<head>{MASK}",
    ),
    (re.compile(r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b"), MASK),
)


def redact(text: str) -> str:
    """Return ``text`` with what looks like a secret replaced by ``***``.

    Covers passwords in URLs, bearer and basic credentials, values of keys named like secrets (in
    ``key=value``, JSON and query strings) and AWS access keys.

    Example:
        >>> redact("postgresql://me:p@ss@db/shop?token=abc")
        'postgresql://me:***@db/shop?token=***'
    """
    for pattern, replacement in _RULES:
        text = pattern.sub(replacement, text)
    return text
