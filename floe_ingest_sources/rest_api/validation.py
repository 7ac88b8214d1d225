"""Checks a REST configuration by dlt's own types, and builds dlt's source from it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, get_type_hints

from floe_ingest import SourceConfigurationError
from floe_ingest_sources._resources import dlt_name, listed, nearest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dlt.common.exceptions import DictValidationException

    from floe_ingest_sources.rest_api import RestApiConfig

_PUBLIC = frozenset({"type", "name", "location"})
"""Keys of ``auth`` whose values are no secrets."""


def build(config: RestApiConfig, name: str, *, session: Any = None) -> Any:
    """Return dlt's source for a configuration.

    Arguments:
        config: the configuration; it is not changed.
        name: the source's name.
        session: what makes the requests; dlt's own, with retries, if not given.

    Raises:
        SourceConfigurationError: the configuration is wrong.
    """
    from dlt.common.exceptions import DltException
    from dlt.sources.rest_api import rest_api_source

    document = as_document(config)
    validate(document)
    if session is not None:
        _use_session(document, session)
    try:
        return rest_api_source(document, name=dlt_name(name))
    except (DltException, ValueError, TypeError, KeyError) as error:
        text = " ".join(str(error).split())
        clean = _without(text, secrets_of(document))
        # A cause that repeats a secret is left out of the chain.
        raise SourceConfigurationError(f"The REST configuration cannot work: {clean}") from (
            error if clean == text else None
        )


def as_document(config: RestApiConfig) -> Any:
    """Return a copy of a configuration as dlt takes it."""
    parts = {"client": config.client, "resources": config.resources}
    if config.resource_defaults is not None:
        parts["resource_defaults"] = config.resource_defaults
    return {name: _copy(part) for name, part in parts.items()}


def validate(document: dict[str, Any]) -> None:
    """Check a configuration without building anything.

    Raises:
        SourceConfigurationError: with every unknown key, or the first value of a wrong type.
    """
    from dlt.common.exceptions import DictValidationException
    from dlt.common.validation import validate_dict
    from dlt.sources.rest_api.typing import RESTAPIConfig

    problems = [*_base_url(document), *_unknown(document, RESTAPIConfig, "")]
    if problems:
        raise SourceConfigurationError("The REST configuration cannot work: " + "; ".join(problems))
    try:
        # dlt repeats values in its messages, so it is shown a copy without secrets.
        validate_dict(RESTAPIConfig, _masked(document), path=".")
    except DictValidationException as error:
        raise SourceConfigurationError(f"The REST configuration cannot work: {_in_words(error)}") from None


def secrets_of(node: Any, *, secret: bool = False) -> set[str]:
    """Return every text of a configuration's ``auth`` and ``headers``: no message may hold one."""
    if isinstance(node, str):
        return {node} if secret and len(node) > 2 else set()
    if isinstance(node, list | tuple):
        return {text for item in node for text in secrets_of(item, secret=secret)}
    if not isinstance(node, Mapping):
        return set()
    return {
        text
        for key, value in node.items()
        if not (secret and key in _PUBLIC)
        for text in secrets_of(value, secret=secret or key in ("auth", "headers"))
    }


def _copy(node: Any) -> Any:
    """Copy what YAML can hold; sessions, paginators and resources of Python callers stay themselves."""
    if isinstance(node, Mapping):
        return {key: _copy(value) for key, value in node.items()}
    if isinstance(node, list | tuple):
        return [_copy(item) for item in node]
    return node


def _masked(node: Any, *, secret: bool = False) -> Any:
    if isinstance(node, Mapping):
        return {
            key: _masked(value, secret=(secret and key not in _PUBLIC) or key in ("auth", "headers"))
            if isinstance(value, Mapping | list) or (secret and key not in _PUBLIC)
            else value
            for key, value in node.items()
        }
    if isinstance(node, list):
        return [_masked(item, secret=secret) for item in node]
    return "***" if secret and isinstance(node, str) else node


def _use_session(document: dict[str, Any], session: Any) -> None:
    document["client"]["session"] = session
    for auth in _auths(document):
        if auth.get("type") == "oauth2_client_credentials":
            auth["session"] = session


def _auths(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    endpoints = [
        resource.get("endpoint")
        for resource in [document.get("resource_defaults"), *document["resources"]]
        if isinstance(resource, dict)
    ]
    for owner in [document["client"], *endpoints]:
        if isinstance(owner, dict) and isinstance(owner.get("auth"), dict):
            yield owner["auth"]


def _base_url(document: dict[str, Any]) -> Iterator[str]:
    url = document["client"].get("base_url")
    if url is None:
        yield "client.base_url is missing; write the URL that all paths are relative to"
    elif not isinstance(url, str) or not url.startswith(("http://", "https://")):
        yield "client.base_url must be a URL that starts with http:// or https://"


def _unknown(node: Any, spec: Any, path: str) -> Iterator[str]:
    """Yield a problem for each key that dlt's type does not have."""
    if not isinstance(node, dict):
        return
    known = get_type_hints(spec)
    for key, value in node.items():
        where = f"{path}.{key}" if path else str(key)
        if key not in known:
            yield f"{where} is unknown.{nearest(str(key), known)} There are: {listed(known, 40)}"
        elif key in ("auth", "paginator"):
            yield from _typed(value, key, where)
        elif key in (nested := _nested()):
            for position, item in enumerate(value if isinstance(value, list) else [value]):
                inner = f"{where}[{position}]" if isinstance(value, list) else where
                yield from _unknown(item, nested[key], inner)


def _typed(node: Any, what: str, path: str) -> Iterator[str]:
    """Yield problems of an ``auth`` or ``paginator``, whose keys depend on its type."""
    from dlt.sources.rest_api.config_setup import AUTH_MAP, PAGINATOR_MAP

    known: Mapping[str, Any] = AUTH_MAP if what == "auth" else PAGINATOR_MAP
    default = "bearer" if what == "auth" else "auto"
    if isinstance(node, str):
        word, where = node, path
    elif isinstance(node, dict):
        word, where = node.get("type", default), f"{path}.type"
    else:
        return
    if word not in known:
        # An unknown word under auth may be the token itself.
        shown = "" if what == "auth" and isinstance(node, str) else f" {word!r}"
        yield f"{where} has an unknown type{shown}.{nearest(str(word), known)} There are: {listed(known)}"
    elif isinstance(node, dict) and (spec := _by_type().get(word)) is not None:
        yield from _unknown(node, spec, path)
        yield from (f"{path}.{key} is missing" for key in sorted(spec.__required_keys__ - node.keys()))


def _nested() -> dict[str, Any]:
    from dlt.sources.rest_api import typing as shapes

    return {
        "client": shapes.ClientConfig,
        "resource_defaults": shapes.EndpointResourceBase,
        "resources": shapes.EndpointResource,
        "endpoint": shapes.Endpoint,
        "incremental": shapes.IncrementalConfig,
        "response_actions": shapes.ResponseActionDict,
    }


def _by_type() -> dict[str, Any]:
    from dlt.sources.rest_api import typing as shapes

    return {
        "bearer": shapes.BearerTokenAuthConfig,
        "api_key": shapes.ApiKeyAuthConfig,
        "http_basic": shapes.HttpBasicAuthConfig,
        "oauth2_client_credentials": shapes.OAuth2ClientCredentialsConfig,
        "page_number": shapes.PageNumberPaginatorConfig,
        "offset": shapes.OffsetPaginatorConfig,
        "header_link": shapes.HeaderLinkPaginatorConfig,
        "json_link": shapes.JSONLinkPaginatorConfig,
        "json_response": shapes.JSONLinkPaginatorConfig,
        "cursor": shapes.JSONResponseCursorPaginatorConfig,
        "header_cursor": shapes.HeaderCursorPaginatorConfig,
        "single_page": shapes.PaginatorTypeConfig,
        "auto": shapes.PaginatorTypeConfig,
    }


def _in_words(error: DictValidationException) -> str:
    """Say what dlt found, without the values that its own message repeats."""
    from dlt.common.typing import get_literal_args, get_type_name, is_literal_type

    deepest = error
    while deepest.nested_exceptions:
        deepest = max(deepest.nested_exceptions, key=lambda inner: inner.path.count("/"))
    path = deepest.path.removeprefix("./").removeprefix(".").replace("/", ".")
    field: str | None = deepest.field
    if field is None:
        return " ".join(str(deepest).split())
    where = f"{path}.{field}" if path else field
    expected = _expected(deepest, field)
    if is_literal_type(expected):
        words = [str(word) for word in get_literal_args(expected)]
        return (
            f"{where} has the value {deepest.value!r}.{nearest(str(deepest.value), words)} "
            f"There are: {listed(words)}"
        )
    name = get_type_name(expected) if expected is not None else "another type"
    return f"{where} has a value of type {type(deepest.value).__name__}, and {name} is expected"


def _expected(error: DictValidationException, field: str) -> Any:
    """Return the type of the field at fault: of a choice of types, dlt names the type that holds it."""
    from dlt.common.typing import extract_union_types, is_typeddict, is_union_type

    expected: Any = error.expected_type
    if expected is not None and is_typeddict(expected):
        expected = get_type_hints(expected).get(field, expected)
    if expected is not None and is_union_type(expected):
        kinds = extract_union_types(expected, no_none=True)
        expected = kinds[0] if len(kinds) == 1 else expected
    return expected


def _without(text: str, secrets: set[str]) -> str:
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, "***")
    return text
