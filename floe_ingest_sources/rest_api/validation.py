"""Checks a REST configuration by dlt's own types, and builds dlt's source from it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, get_type_hints

from pydantic import SecretStr

from floe_ingest import SourceConfigurationError
from floe_ingest_sources._resources import dlt_name, listed, nearest
from floe_ingest_sources.rest_api import callables
from floe_ingest_sources.rest_api.config import guarded, plain, secrets_of
from floe_ingest_sources.rest_api.pages import check_limits, shape
from floe_ingest_sources.rest_api.session import Manners, make_session

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dlt.common.exceptions import DictValidationException

    from floe_ingest_sources.rest_api.config import RestApiConfig


def build(config: RestApiConfig, name: str, *, session: Any = None) -> Any:
    """Return dlt's source for a configuration.

    Arguments:
        config: the configuration; it is not changed.
        name: the source's name.
        session: what makes the requests of a probe, which ends with the first page; without it, a load's.

    Raises:
        SourceConfigurationError: the configuration is wrong.
    """
    from dlt.common.exceptions import DltException
    from dlt.sources.rest_api import rest_api_source

    document = as_document(config)
    callables.resolve(document)
    validate(document)
    if problems := list(check_limits(document, config.max_pages)):
        raise SourceConfigurationError("The REST configuration cannot work: " + "; ".join(problems))
    _use_session(document, session or make_session(_manners(config, document)))
    if config.parallel_requests > 1:
        _in_parallel(document)
    try:
        source = rest_api_source(document, name=dlt_name(name))
    except (DltException, ValueError, TypeError, KeyError) as error:
        text = " ".join(str(error).split())
        clean = _without(text, secrets_of(config.model_dump()))
        # A cause that repeats a secret is left out of the chain.
        raise SourceConfigurationError(f"The REST configuration cannot work: {clean}") from (
            error if clean == text else None
        )
    shape(source, document, config, probing=session is not None)
    return source


def as_document(config: RestApiConfig) -> Any:
    """Return a copy of a configuration as dlt takes it."""
    parts = {"client": config.client, "resources": config.resources}
    if config.resource_defaults is not None:
        parts["resource_defaults"] = config.resource_defaults
    return {name: plain(part) for name, part in parts.items()}


def _manners(config: RestApiConfig, document: dict[str, Any]) -> Manners:
    actions = [
        action
        for resource in _resources(document)
        if isinstance(endpoint := resource.get("endpoint"), dict)
        for action in endpoint.get("response_actions") or []
    ]
    return Manners(
        timeout_seconds=config.timeout_seconds,
        retries=config.max_retries,
        max_retry_after_seconds=config.max_retry_after_seconds,
        requests_per_second=config.requests_per_second,
        parallel_requests=config.parallel_requests,
        final=frozenset(
            action["status_code"]
            for action in actions
            if isinstance(action, dict) and isinstance(action.get("status_code"), int)
        ),
    )


def _in_parallel(document: dict[str, Any]) -> None:
    """Have dlt read the resources that need another one from several threads; the session bounds them."""
    for resource in _resources(document):
        if "name" in resource:
            resource.setdefault("parallelized", True)


def _resources(document: dict[str, Any]) -> list[dict[str, Any]]:
    resources = [document.get("resource_defaults"), *document["resources"]]
    return [resource for resource in resources if isinstance(resource, dict)]


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
        validate_dict(RESTAPIConfig, _masked(guarded(document)), path=".")
    except DictValidationException as error:
        raise SourceConfigurationError(f"The REST configuration cannot work: {_in_words(error)}") from None


def _masked(node: Any) -> Any:
    if isinstance(node, Mapping):
        return {key: _masked(value) for key, value in node.items()}
    if isinstance(node, list):
        return [_masked(item) for item in node]
    return "***" if isinstance(node, SecretStr) else node


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
        if word == "api_key" and node.get("location") == "cookie":
            # dlt's type has the word, and its code raises NotImplementedError at the first request.
            yield (
                f"{path}.location is 'cookie', which dlt does not send. There are: header, query. A cookie "
                f"can be written as headers: {{Cookie: NAME=VALUE}}"
            )


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
