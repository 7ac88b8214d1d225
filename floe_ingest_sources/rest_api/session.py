"""The HTTP session of a REST source: connections kept, a rate kept to, failures tried again as asked for.

Everything happens below requests' hooks and redirects, in the adapter, so that dlt's response actions see
the final answer. One session serves all resources of a source, from several threads.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

from floe_ingest import CertificateError

if TYPE_CHECKING:
    import requests

RETRIED_STATUS = frozenset({408, 425, 429, *range(500, 600)})
_FIRST_PAUSE_SECONDS = 1.0
_LONGEST_PAUSE_SECONDS = 60.0
_LOOK_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Manners:
    """How requests are made.

    Arguments:
        timeout_seconds: for connecting, and between two pieces of an answer.
        retries: further tries after a timeout, a broken connection, or a status of ``RETRIED_STATUS``.
        max_retry_after_seconds: the longest pause that a server may ask for by Retry-After; asked for more,
            the answer counts as final.
        requests_per_second: of all resources together; None for as fast as they are answered.
        parallel_requests: how many are under way at once.
        final: statuses that are not tried again, since a response action is about them.
    """

    timeout_seconds: float = 60.0
    retries: int = 4
    max_retry_after_seconds: float = 300.0
    requests_per_second: float | None = None
    parallel_requests: int = 1
    final: frozenset[int] = frozenset()


class _Pace:
    """Lets one request through at a time, in equal steps."""

    def __init__(self, per_second: float | None) -> None:
        self._step = 1 / per_second if per_second else 0.0
        self._next = 0.0
        self._lock = threading.Lock()

    def wait(self) -> None:
        with self._lock:
            now = time.monotonic()
            mine = max(now, self._next)
            self._next = mine + self._step
        pause(mine - now)


def pause(seconds: float) -> None:
    """Wait, unless the process was asked to end.

    Raises:
        KeyboardInterrupt: it was.
    """
    from dlt.common.runtime import signals

    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        signals.raise_if_signalled()
        time.sleep(min(left, _LOOK_SECONDS))


def make_session(manners: Manners) -> requests.Session:
    """Return a session that makes its requests with these manners."""
    import requests
    from requests.adapters import HTTPAdapter

    pace = _Pace(manners.requests_per_second)
    slots = threading.BoundedSemaphore(manners.parallel_requests)
    broken = (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError)

    class Adapter(HTTPAdapter):
        def build_response(self, req: Any, resp: Any) -> requests.Response:
            response = super().build_response(req, resp)
            response.__class__ = _once_parsed()
            return response

        def send(self, request: Any, *args: Any, **options: Any) -> requests.Response:
            options["timeout"] = options.get("timeout") or manners.timeout_seconds
            for left in range(manners.retries, -1, -1):
                seconds = min(_LONGEST_PAUSE_SECONDS, _FIRST_PAUSE_SECONDS * 2 ** (manners.retries - left))
                try:
                    response = self._once(request, *args, **options)
                except broken as error:
                    if not left or CertificateError.of(error) is not None:
                        raise
                else:
                    if response.status_code not in RETRIED_STATUS - manners.final or not left:
                        return response
                    asked = retry_after(response.headers.get("Retry-After"))
                    if asked is not None and asked > manners.max_retry_after_seconds:
                        return response
                    seconds = seconds if asked is None else asked
                    response.close()
                pause(seconds)
            raise AssertionError("unreachable")

        def _once(self, request: Any, *args: Any, **options: Any) -> requests.Response:
            pace.wait()
            with slots:
                response = super().send(request, *args, **options)
                if not options.get("stream"):
                    # Read here, so that an answer that breaks off is tried again as well.
                    _ = response.content
                return response

    session = requests.Session()
    adapter = Adapter(pool_maxsize=max(10, manners.parallel_requests))
    session.mount("http://", adapter)
    session.mount("https://", adapter)
    return session


def retry_after(header: str | None) -> float | None:
    """Return the seconds of a Retry-After header, which may be a date; None where there is none, or no such.

    Example:
        >>> retry_after("7"), retry_after("soon")
        (7.0, None)
    """
    if not header:
        return None
    text = header.strip()
    if text.isdecimal():
        return float(text)
    try:
        at = parsedate_to_datetime(text)
    except ValueError:
        return None
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    return max(0.0, (at - datetime.now(UTC)).total_seconds())


def _once_parsed() -> type[requests.Response]:
    """Return a response class that parses a JSON body once: dlt's paginators ask for it again and again."""
    import orjson
    import requests

    class OnceParsed(requests.Response):
        arrow_records: Any = None
        """The records of the page, where they were read as Arrow."""

        def know_as(self, parsed: Any) -> None:
            """Take the body for parsed."""
            self.__dict__["_parsed"] = (self.content, parsed)

        def json(self, **options: Any) -> Any:
            if options:
                return super().json(**options)
            content = self.content
            known = self.__dict__.get("_parsed")
            # A response action may have put other content in its place.
            if known is None or known[0] is not content:
                known = self.__dict__["_parsed"] = (content, self._parse(content))
            return known[1]

        def _parse(self, content: bytes) -> Any:
            try:
                return orjson.loads(content)
            except orjson.JSONDecodeError:
                # NaN, other encodings, and the error that callers know.
                return super().json()

    return OnceParsed
