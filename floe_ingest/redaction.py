"""Removes secrets from texts that people or machines will read.

Two things tell what is a secret: its looks (a password in a URL, a value behind a key called ``token``), and
the configuration, whose secrets are known for as long as ``keeping_secret`` lasts.
"""

from __future__ import annotations

import json
import logging
import re
import threading
import traceback
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, quote_plus, unquote

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

MASK = "***"

_SHORT = 4
_KEYS = (
    r"(?:[\w.-]*(?:password|passwd|passphrase|pwd|secret|token|credential|api[_-]?key|access[_-]?key"
    r"|private[_-]?key|account[_-]?key|client[_-]?key)[\w.-]*"
    r"|x-amz-signature|signature|sig|sas)"
)
_RULES: tuple[tuple[re.Pattern[str], str], ...] = (
    # user:password@ in URLs. A password may hold anything, an @ too: it ends at the last @ of the line before
    # another URL. What looks like a port, without an @ in the word behind it, is none.
    (
        re.compile(
            r"(?P<head>\b[a-z][a-z0-9+.-]*://[^\s:/@?#]*):"
            r"(?!\d{1,5}(?:[/?#][^\s@]*)?(?:[\s\"'`)\]},;](?![^\s@]*@)|$))"
            r"(?:(?![a-z0-9]://)[^\n\r])*@",
            re.IGNORECASE,
        ),
        rf"\g<head>:{MASK}@",
    ),
    # a URL whose user alone is a secret, as a token: https://ghp_abcdef@host
    (re.compile(r"(?P<head>\bhttps?://)[^\s:/@?#]{20,}@", re.IGNORECASE), rf"\g<head>{MASK}@"),
    # Authorization: Basic dXNlcjpwYXNz, in headers, JSON and Python's repr: the value to its end
    (
        re.compile(
            r"(?P<head>[\"']?\b(?:proxy-)?authorization[\"']?\s*[=:]\s*)"
            r"(?:\"(?:[^\"\\\n]|\\.)*\"?|'(?:[^'\\\n]|\\.)*'?|(?:[a-z][\w-]*\s+)?[^\s,;]+)",
            re.IGNORECASE,
        ),
        rf"\g<head>{MASK}",
    ),
    (
        re.compile(r"(?P<head>\b(?:bearer|basic)\s+)(?!\*\*\*)[A-Za-z0-9+/=._~:-]{6,}", re.IGNORECASE),
        rf"\g<head>{MASK}",
    ),
    (
        re.compile(
            rf"(?P<head>(?:\\?[\"'])?(?<![\w.-]){_KEYS}(?:\\?[\"'])?\s*(?:=>|[=:])\s*)"
            rf"(?:\"(?:[^\"\\]|\\.)*\"?|'(?:[^'\\]|\\.)*'?|\\\"(?:(?!\\\").)*\\\"|[^\s&]+)",
            re.IGNORECASE | re.DOTALL,
        ),
        rf"\g<head>{MASK}",
    ),
    (re.compile(r"\b(?:AKIA|ASIA|AROA|AIDA)[A-Z0-9]{16}\b"), MASK),
    # "GET /orders?k=abc HTTP/1.1", as HTTP libraries log a request: a key may be called anything
    (
        re.compile(
            r"(?P<head>\b(?:GET|POST|PUT|PATCH|DELETE|HEAD|OPTIONS) [^\s?\"']*\?)[^\s\"']+(?=\s+HTTP/)"
        ),
        rf"\g<head>{MASK}",
    ),
)


_QUERY = re.compile(r"(?P<head>\bhttps?://[^\s?\"']+\?)[^\s\"']+", re.IGNORECASE)


class _Known:
    """The secrets that a configuration at work holds, in every form in which a text may show them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._values: Counter[str] = Counter()
        self._pattern: re.Pattern[str] | None = None

    def change(self, values: Iterable[str], by: int) -> None:
        with self._lock:
            for value in values:
                self._values[value] += by
            self._values += Counter()  # drops what nobody keeps any more
            self._pattern = pattern_of(self._values)

    def mask(self, text: str) -> str:
        pattern = self._pattern
        return pattern.sub(MASK, text) if pattern is not None else text


_known = _Known()


@contextmanager
def keeping_secret(values: Iterable[str]) -> Iterator[None]:
    """Let ``redact`` mask these values, whatever they look like, for as long as the context lasts.

    Holds for the whole process, since what a secret causes may be told in any thread.

    Example:
        >>> with keeping_secret(["correct horse"]):
        ...     redact("login of ada with correct horse failed")
        'login of ada with *** failed'
    """
    kept = tuple(value for value in values if value.strip())
    _known.change(kept, 1)
    try:
        yield
    finally:
        _known.change(kept, -1)


def redact(text: str) -> str:
    """Return ``text`` with what is, or looks like, a secret replaced by ``***``.

    Covers passwords in URLs, ``Authorization`` headers, bearer and basic credentials, values of keys named
    like secrets (in ``key=value``, JSON, query strings, headers), AWS access keys, and what
    ``keeping_secret`` holds.

    Example:
        >>> redact("postgresql://me:p@ss/w@db/shop?token=abc&page=2")
        'postgresql://me:***@db/shop?token=***&page=2'
    """
    text = _known.mask(text)
    for pattern, replacement in _RULES:
        text = pattern.sub(replacement, text)
    return text


class _OfLogger(logging.Filter):
    """Takes the secrets out of a logger's records, and the queries out of the URLs that it logs."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg = _QUERY.sub(rf"\g<head>{MASK}", redact(record.getMessage()))
        record.args = ()
        return True


_of_logger = _OfLogger()


def guard_logger(name: str) -> None:
    """Redact what a library logs by itself, past our own handlers: dlt prints the URLs of its requests.

    The key in a query may be called anything, so queries of URLs are left out as a whole. A second call for
    one logger does nothing.
    """
    logging.getLogger(name).addFilter(_of_logger)


def redacted_traceback(error: BaseException) -> str:
    """Return the traceback of an exception and of its causes, without secrets."""
    return redact("".join(traceback.format_exception(error)).rstrip())


class RedactedError(Exception):
    """Stands in a chain of causes for an exception whose text cannot be changed and holds a secret."""


def redact_chain(error: BaseException) -> None:
    """Remove the secrets from the texts of an exception and of its causes, in place.

    Whoever lets an exception out of floe-ingest cannot know who prints it, with all its causes. An exception
    that makes its text of something else than its arguments is replaced, as a cause, by a stand-in that
    names its type and says the same without the secret.
    """
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        _redact_arguments(current)
        for link in ("__cause__", "__context__"):
            linked = getattr(current, link)
            if linked is not None and not _redact_arguments(linked):
                setattr(current, link, _stand_in(linked))
        current = current.__cause__ or current.__context__


def _redact_arguments(error: BaseException) -> bool:
    """Redact an exception's arguments and notes; return whether it shows no secret any more."""
    if notes := getattr(error, "__notes__", None):
        notes[:] = [redact(note) if isinstance(note, str) else note for note in notes]
    if not _shows_secret(error):
        return True
    error.args = tuple(_redacted(argument) for argument in error.args)
    return not _shows_secret(error)


def _redacted(argument: Any) -> Any:
    if isinstance(argument, str):
        return redact(argument)
    if isinstance(argument, BaseException):
        _redact_arguments(argument)
        return argument
    shown = str(argument)
    return argument if redact(shown) == shown else redact(shown)


def _shows_secret(error: BaseException) -> bool:
    return any(redact(shown) != shown for shown in (str(error), repr(error)))


def _stand_in(error: BaseException) -> RedactedError:
    stand_in = RedactedError(f"{type(error).__module__}.{type(error).__qualname__}: {redact(str(error))}")
    stand_in.__cause__, stand_in.__context__ = error.__cause__, error.__context__
    stand_in.__suppress_context__ = error.__suppress_context__
    return stand_in.with_traceback(error.__traceback__)


def pattern_of(values: Iterable[str]) -> re.Pattern[str] | None:
    """Return a pattern of values, also quoted, escaped or percent-encoded; None for no values.

    A value of one to three characters stands in half of all words: it counts only where it stands alone.
    """
    forms = {form for value in values for form in _forms(value) if form.strip()}
    longest_first = sorted(forms, key=lambda form: (-len(form), form))
    patterns = [
        re.escape(form) if len(form) >= _SHORT else rf"(?<!\w){re.escape(form)}(?!\w)"
        for form in longest_first
    ]
    return re.compile("|".join(patterns)) if patterns else None


def _forms(value: str) -> Iterator[str]:
    yield value
    yield value.strip()
    yield repr(value)[1:-1]
    yield ascii(value)[1:-1]
    yield json.dumps(value)[1:-1]
    encodable = value.encode("utf-8", "replace").decode("utf-8")
    yield quote(encodable)
    yield quote(encodable, safe="")
    yield quote_plus(encodable)
    yield unquote(value)
