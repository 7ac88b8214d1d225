"""Says what a REST catalog refused: which privilege is missing, and on what.

Privileges are named as Apache Polaris names them (its ``PolarisAuthorizableOperation`` says which operation
needs which), since the REST specification has no names for them.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from floe_ingest.errors import CatalogAccessError
from floe_ingest.redaction import redact

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyiceberg.catalog import Catalog
    from requests import Response

_NAMESPACE = re.compile(r"/namespaces(?:/(?P<namespace>[^/]+))?(?P<tables>/tables(?:/(?P<table>[^/]+))?)?/?$")


@dataclass(frozen=True, slots=True)
class _Operation:
    """What a request is for, and the privileges that it needs: on the catalog, a namespace or a table."""

    doing: str
    privileges: str
    on: str


_OPERATIONS: Mapping[tuple[str, str], _Operation] = {
    ("GET", "namespaces"): _Operation("list namespaces", "NAMESPACE_LIST", "catalog"),
    ("POST", "namespaces"): _Operation("create a namespace", "NAMESPACE_CREATE", "catalog"),
    ("GET", "namespace"): _Operation("read the namespace", "NAMESPACE_READ_PROPERTIES", "namespace"),
    ("HEAD", "namespace"): _Operation("look for the namespace", "NAMESPACE_LIST", "namespace"),
    ("DELETE", "namespace"): _Operation("drop the namespace", "NAMESPACE_DROP", "namespace"),
    ("GET", "tables"): _Operation("list tables", "TABLE_LIST", "namespace"),
    ("POST", "tables"): _Operation("create a table", "TABLE_CREATE and TABLE_WRITE_DATA", "namespace"),
    ("GET", "table"): _Operation("load the table", "TABLE_READ_PROPERTIES and TABLE_WRITE_DATA", "table"),
    ("HEAD", "table"): _Operation("look for the table", "TABLE_LIST", "table"),
    ("POST", "table"): _Operation("commit to the table", "TABLE_WRITE_PROPERTIES", "table"),
    ("DELETE", "table"): _Operation("drop the table", "TABLE_DROP", "table"),
}


def explain_refusals(catalog: Catalog) -> None:
    """Let each refusal of a REST catalog be a ``CatalogAccessError``, whatever it was asked for.

    Refused are a request that a privilege lacks for (403), and client credentials. A token that is too old
    is not a refusal: PyIceberg gets a new one and asks again.
    """
    session = getattr(catalog, "_session", None)
    if session is not None:
        session.hooks["response"].append(_raise_for_refusal)


def refused_request(error: BaseException) -> CatalogAccessError | None:
    """Return what the request in an error's chain of causes was refused, or None where none was."""
    from requests import HTTPError

    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, HTTPError) and seen.response is not None:
            return _refusal(seen.response, {401, 403})
        seen = seen.__cause__ or seen.__context__
    return None


def _raise_for_refusal(response: Response, *_: Any, **__: Any) -> None:
    if (refusal := _refusal(response, {403})) is not None:
        raise refusal


def _refusal(response: Response, statuses: set[int]) -> CatalogAccessError | None:
    request, status = response.request, response.status_code
    said = redact(_said(response.text) or f"HTTP {status} {response.reason}")
    if status in {400, 401, 403} and _asks_for_token(request.body):
        return CatalogAccessError(
            f"The catalog refused the client credentials. It said: {said}. Check `credential` (client id, "
            f"colon, client secret) and `scope` in catalog_config."
        )
    if status not in statuses:
        return None
    if status == 401:
        return CatalogAccessError(
            f"The catalog does not accept the token or the credentials. It said: {said}. Check `credential` "
            f"or `token` in catalog_config."
        )
    needed = _needed(request.method or "", request.url or "")
    return CatalogAccessError(f"The catalog refused to {needed}. It said: {said}")


def _needed(method: str, url: str) -> str:
    found = _NAMESPACE.search(urlsplit(url).path)
    if found is None:
        return f"answer {method} {urlsplit(url).path}"
    namespace = ".".join(unquote(found["namespace"] or "").split("\x1f"))
    table = f"{namespace}.{unquote(found['table'])}" if found["table"] else ""
    what = "table" if table else "tables" if found["tables"] else "namespace" if namespace else "namespaces"
    operation = _OPERATIONS.get((method, what))
    if operation is None:
        return f"answer {method} {urlsplit(url).path}"
    place = {"table": f"table {table}", "namespace": f"namespace {namespace}", "catalog": "the catalog"}
    return (
        f"{operation.doing}: {operation.privileges} on {place[operation.on]} "
        f"is not granted (as Apache Polaris names privileges)"
    )


def _asks_for_token(body: Any) -> bool:
    text = body.decode("utf-8", "replace") if isinstance(body, bytes) else body
    return isinstance(text, str) and "grant_type=client_credentials" in text


def _said(text: str) -> str:
    """Return the message of an answer: in Iceberg's error model, or in OAuth2's."""
    try:
        document = json.loads(text)
    except ValueError:
        return ""
    error = document.get("error") if isinstance(document, dict) else None
    if isinstance(error, dict):
        return f"{error.get('type', 'error')}: {error.get('message', '')}"
    if isinstance(error, str):
        return f"{error}: {document.get('error_description', '')}".rstrip(": ")
    return ""
