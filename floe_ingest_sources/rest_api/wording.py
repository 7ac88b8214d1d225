"""Failures of requests in words, without what a URL's query or an answer's body may hold."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

if TYPE_CHECKING:
    import requests


def said(error: requests.RequestException, base_url: str, seconds: float | None = None) -> str:
    """Return what happened, and what to look at.

    Arguments:
        error: of a request.
        base_url: named where the error does not know its request.
        seconds: how long the answer was waited for; None where a limit of its own ended it.
    """
    import requests

    request = error.request if error.request is not None else getattr(error.response, "request", None)
    url = without_query(str(getattr(request, "url", None) or base_url))
    method = getattr(request, "method", None) or "GET"
    if isinstance(error, requests.exceptions.InvalidJSONError):
        return f"{method} {url} answered with something that is not JSON"
    if error.response is not None:
        answer = error.response
        wait = answer.headers.get("Retry-After", "")
        asked = f" (it asks to wait: Retry-After {wait[:40]})" if wait else ""
        status = f"{answer.status_code} {answer.reason}"
        return f"{method} {url} answered {status}{asked}.{_advice(answer.status_code)}"
    return f"{method} {url} did not answer: {reason_of(error, seconds)}"


def _advice(status: int) -> str:
    if status in (401, 403):
        return " Check client.auth."
    if status == 404:
        return " Check client.base_url and the resource's endpoint.path."
    return " Try again later." if status == 429 or status >= 500 else ""


def reason_of(error: BaseException, seconds: float | None = None) -> str:
    """Return why a request failed, by the system's own words: the library's repeat the whole URL."""
    import requests

    if isinstance(error, requests.Timeout):
        return f"no full answer within {seconds:g} seconds" if seconds else "no answer within timeout_seconds"
    if isinstance(error, requests.exceptions.ChunkedEncodingError):
        return "the answer broke off"
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


def clean(error: Exception) -> Exception:
    """Return an error of the same type without what was sent: headers and the URL's query hold keys."""
    import requests

    if not isinstance(error, requests.RequestException):
        return error
    sent = error.request if error.request is not None else getattr(error.response, "request", None)
    request: requests.PreparedRequest | None = None
    if sent is not None:
        request = requests.PreparedRequest()
        request.method, request.url = sent.method, without_query(str(sent.url))
    if isinstance(error, requests.exceptions.JSONDecodeError):
        return requests.exceptions.InvalidJSONError("no JSON", request=request)
    if error.response is None:
        return type(error)(reason_of(error), request=request)
    response = requests.Response()
    response.status_code = error.response.status_code
    response.reason = error.response.reason
    response.headers.update({"Retry-After": error.response.headers.get("Retry-After", "")})
    return type(error)(f"status {response.status_code}", response=response, request=request)


def without_query(url: str) -> str:
    """Return a URL without user, password, query and fragment."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, host, parts.path, "", ""))
