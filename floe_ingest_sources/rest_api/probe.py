"""Tries a REST API: the first page of each resource, by the very requests that a load makes."""

from __future__ import annotations

import io
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

from floe_ingest import FoundResource, SourceCheck, SourceConnectionError
from floe_ingest_sources.rest_api.validation import as_document, build

if TYPE_CHECKING:
    from collections.abc import Iterator

    import requests

    from floe_ingest_sources.rest_api import RestApiConfig

PROBE_SECONDS = 8.0
"""A little less than what the engine waits, so that the message can say which request did not end."""


def probe(config: RestApiConfig, name: str) -> SourceCheck:
    """Return what the first pages hold; see the hook."""
    import requests

    sent: list[requests.PreparedRequest] = []
    with _bounded_session(PROBE_SECONDS, sent) as session:
        source = build(config, name, session=session)
        roots = [resource for resource in _roots(config) if resource in source.resources]
        try:
            if not roots:
                _reach(session, config.client["base_url"])
            found = tuple(_first_page(source.resources[root], root) for root in roots)
        except requests.RequestException as error:
            raise _said(error, sent[-1] if sent else None, config) from _clean(error)
    return SourceCheck(found, f"reached {_without_query(config.client['base_url'])}")


def _roots(config: RestApiConfig) -> Iterator[str]:
    """Yield the resources that need no other one and that a GET reads: a probe changes nothing."""
    defaults = as_document(config).get("resource_defaults") or {}
    common: Any = defaults.get("endpoint") or {}
    for resource in config.resources:
        if isinstance(resource, str):
            yield resource
        elif isinstance(resource, dict) and isinstance(resource.get("name"), str):
            endpoint: Any = resource.get("endpoint") or {}
            own = {"path": endpoint} if isinstance(endpoint, str) else endpoint
            merged: dict[str, Any] = {**(common if isinstance(common, dict) else {}), **own}
            if str(merged.get("method") or "GET").upper() == "GET" and not _depends(merged):
                yield resource["name"]


def _depends(endpoint: dict[str, Any]) -> bool:
    parts = str([endpoint.get(name) for name in ("path", "params", "headers", "json", "data")])
    params = endpoint.get("params")
    resolved = isinstance(params, dict) and any(
        isinstance(value, dict) and value.get("type") == "resolve" for value in params.values()
    )
    return resolved or "{resources." in parts


def _first_page(resource: Any, name: str) -> FoundResource:
    """Read one page, through dlt's own paginator, authentication and selectors."""
    import requests
    from dlt.common.exceptions import DltException

    try:
        records = list(resource.add_limit(1))
    except DltException as error:
        cause: BaseException | None = error
        while cause is not None:
            if isinstance(cause, requests.RequestException):
                raise cause from None
            cause = cause.__cause__ or cause.__context__
        raise
    first = next((record for record in records if isinstance(record, dict)), {})
    return FoundResource(name, tuple(first), None, f"{len(records)} records on the first page")


def _reach(session: requests.Session, base_url: str) -> None:
    response = session.get(base_url)
    if response.status_code >= 500:
        response.raise_for_status()


def _bounded_session(seconds: float, sent: list[requests.PreparedRequest]) -> requests.Session:
    """Return a session without retries, all of whose requests end within ``seconds`` from now.

    Arguments:
        seconds: for all requests together.
        sent: receives each request.
    """
    import requests
    from requests.adapters import HTTPAdapter

    end = time.monotonic() + seconds

    class Bounded(HTTPAdapter):
        def send(self, request: Any, *args: Any, **options: Any) -> requests.Response:
            sent.append(request)
            left = end - time.monotonic()
            if left <= 0:
                raise requests.Timeout(request=request)
            options.update(stream=True, timeout=left)
            response = super().send(request, *args, **options)
            # A server that sends byte after byte never meets a socket's timeout: the clock is looked at.
            body = bytearray()
            while piece := response.raw.read1(65536, decode_content=True):
                body += piece
                if time.monotonic() > end:
                    response.close()
                    raise requests.Timeout(request=request)
            response.raw = io.BytesIO(bytes(body))
            return response

    session = requests.Session()
    session.mount("http://", Bounded())
    session.mount("https://", Bounded())
    return session


def _said(
    error: requests.RequestException, request: requests.PreparedRequest | None, config: RestApiConfig
) -> SourceConnectionError:
    import requests

    url = _without_query(str((request and request.url) or config.client["base_url"]))
    method = (request and request.method) or "GET"
    if isinstance(error, requests.exceptions.JSONDecodeError):
        return SourceConnectionError(f"{method} {url} answered with something that is not JSON")
    if error.response is not None:
        return SourceConnectionError(
            f"{method} {url} answered {error.response.status_code} {error.response.reason}."
            f"{_advice(error.response.status_code)}"
        )
    return SourceConnectionError(f"{method} {url} did not answer: {_reason(error)}")


def _advice(status: int) -> str:
    if status in (401, 403):
        return " Check client.auth."
    if status == 404:
        return " Check client.base_url and the resource's endpoint.path."
    return " Try again later." if status == 429 or status >= 500 else ""


def _reason(error: BaseException) -> str:
    """Return why a request failed, by the system's own words: the library's repeat the whole URL."""
    import requests

    if isinstance(error, requests.Timeout):
        return f"no full answer within {PROBE_SECONDS:g} seconds"
    waiting: list[BaseException] = [error]
    seen: set[int] = set()
    while waiting:
        cause = waiting.pop()
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror
        seen.add(id(cause))
        further = [*cause.args, getattr(cause, "reason", None), cause.__context__, cause.__cause__]
        waiting += [item for item in further if isinstance(item, BaseException) and id(item) not in seen]
    return type(error).__name__


def _clean(error: requests.RequestException) -> requests.RequestException:
    """Return an error of the same type without the URL, whose query may hold a key."""
    import requests

    if isinstance(error, requests.exceptions.JSONDecodeError):
        return requests.exceptions.InvalidJSONError("no JSON")
    status = getattr(error.response, "status_code", None)
    return type(error)(f"status {status}" if status else _reason(error), response=error.response)


def _without_query(url: str) -> str:
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, host, parts.path, "", ""))
