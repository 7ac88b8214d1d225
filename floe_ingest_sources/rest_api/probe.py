"""Tries a REST API: the first page of each resource, by the very requests that a load makes."""

from __future__ import annotations

import io
import time
from typing import TYPE_CHECKING, Any

from floe_ingest import CertificateError, FoundResource, IngestionError, SourceCheck, SourceConnectionError
from floe_ingest_sources.rest_api.validation import as_document, build
from floe_ingest_sources.rest_api.wording import clean, said, without_query

if TYPE_CHECKING:
    from collections.abc import Iterator

    import requests

    from floe_ingest_sources.rest_api.config import RestApiConfig

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
            if (untrusted := CertificateError.of(error)) is not None:
                raise untrusted from clean(error)
            told = error if error.request is not None or not sent else _about(error, sent[-1])
            reason = said(told, config.client["base_url"], PROBE_SECONDS)
            raise SourceConnectionError(reason) from clean(error)
    return SourceCheck(found, f"reached {without_query(config.client['base_url'])}")


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
        known: BaseException | None = None
        cause: BaseException | None = error
        while cause is not None:
            if isinstance(cause, CertificateError):
                raise cause from cause.__cause__
            if isinstance(cause, requests.RequestException):
                raise cause from None
            known = cause if isinstance(cause, IngestionError) else known
            cause = cause.__cause__ or cause.__context__
        if known is not None:
            raise known from known.__cause__
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
    import urllib3
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
            try:
                return self._read(response, request)
            except urllib3.exceptions.HTTPError as error:
                raise requests.exceptions.ChunkedEncodingError(error, request=request) from error

        def _read(self, response: requests.Response, request: Any) -> requests.Response:
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


def _about(error: requests.RequestException, request: requests.PreparedRequest) -> requests.RequestException:
    error.request = request
    return error
