"""REST catalogs that do not keep a load waiting for ever: PyIceberg's own requests have no time limit.

The two properties are those of Iceberg's Java client (its class ``HTTPClient``). What runs out of time counts
as a lost answer: a commit is looked for. A third property names the certificates that are trusted: PyIceberg
takes them as a mapping in a mapping alone, and lets the environment overrule it.
"""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Any

from pyiceberg.catalog.rest import RestCatalog
from requests.adapters import BaseAdapter

if TYPE_CHECKING:
    from pyiceberg.catalog.rest.auth import AuthManager
    from requests import PreparedRequest, Response, Session

CONNECTION_TIMEOUT = "rest.client.connection-timeout-ms"
SOCKET_TIMEOUT = "rest.client.socket-timeout-ms"
CA_BUNDLE = "ssl.cabundle"
_CONNECTION_MS, _SOCKET_MS = 10_000, 120_000


class BoundedAdapter(BaseAdapter):
    """Gives each request that has no time limit this one, and lets another adapter send it.

    Arguments:
        sender: sends.
        limits: seconds until connected, and between two packets.
        trusted: a PEM file with the certificates that are trusted; None for those of the environment.
    """

    def __init__(self, sender: BaseAdapter, limits: tuple[float, float], trusted: str | None = None) -> None:
        self._sender = sender
        self._limits = limits
        self._trusted = trusted
        super().__init__()

    def close(self) -> None:
        """Close what sends."""
        self._sender.close()

    def send(self, request: PreparedRequest, *args: Any, **kwargs: Any) -> Response:
        """Send a request."""
        kwargs["timeout"] = kwargs.get("timeout") or self._limits
        if self._trusted is not None:
            kwargs["verify"] = self._trusted
        return self._sender.send(request, *args, **kwargs)


class BoundedRestCatalog(RestCatalog):
    """A REST catalog each of whose requests ends, from the first one for a token on.

    Raises:
        ValueError: ``ssl.cabundle`` is no file of certificates.
    """

    def __init__(self, name: str, **properties: str) -> None:
        # Of what the user wrote: a server has no say in who is trusted.
        self._trusted = properties.get(CA_BUNDLE)
        if self._trusted is not None:
            _check_certificates(self._trusted)
        super().__init__(name, **properties)

    def _create_legacy_oauth2_auth_manager(self, session: Session) -> AuthManager:
        self._bound(session)  # it asks for a token at once
        return super()._create_legacy_oauth2_auth_manager(session)

    def _create_session(self) -> Session:
        session = super()._create_session()
        self._bound(session)
        return session

    def _bound(self, session: Session) -> None:
        limits = (
            float(self.properties.get(CONNECTION_TIMEOUT, _CONNECTION_MS)) / 1000,
            float(self.properties.get(SOCKET_TIMEOUT, _SOCKET_MS)) / 1000,
        )
        # One of them may sign requests, as AWS wants it.
        for prefix, adapter in list(session.adapters.items()):
            if not isinstance(adapter, BoundedAdapter):
                session.mount(prefix, BoundedAdapter(adapter, limits, self._trusted))


def _check_certificates(file: str) -> None:
    try:
        ssl.create_default_context(cafile=file)
    except OSError as error:  # OpenSSL's own errors are of this kind
        reason = "it holds no certificate in PEM form" if isinstance(error, ssl.SSLError) else error.strerror
        raise ValueError(f"`{CA_BUNDLE}` is {file!r}: {reason}") from error
