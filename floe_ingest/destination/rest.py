"""REST catalogs that do not keep a load waiting for ever: PyIceberg's own requests have no time limit.

The two properties are those of Iceberg's Java client (its class ``HTTPClient``). What runs out of time counts
as a lost answer: a commit is looked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pyiceberg.catalog.rest import RestCatalog
from requests.adapters import BaseAdapter

if TYPE_CHECKING:
    from pyiceberg.catalog.rest.auth import AuthManager
    from requests import PreparedRequest, Response, Session

CONNECTION_TIMEOUT = "rest.client.connection-timeout-ms"
SOCKET_TIMEOUT = "rest.client.socket-timeout-ms"
_CONNECTION_MS, _SOCKET_MS = 10_000, 120_000


class BoundedAdapter(BaseAdapter):
    """Gives each request that has no time limit this one, and lets another adapter send it.

    Arguments:
        sender: sends.
        limits: seconds until connected, and between two packets.
    """

    def __init__(self, sender: BaseAdapter, limits: tuple[float, float]) -> None:
        self._sender = sender
        self._limits = limits
        super().__init__()

    def close(self) -> None:
        """Close what sends."""
        self._sender.close()

    def send(self, request: PreparedRequest, *args: Any, **kwargs: Any) -> Response:
        """Send a request."""
        kwargs["timeout"] = kwargs.get("timeout") or self._limits
        return self._sender.send(request, *args, **kwargs)


class BoundedRestCatalog(RestCatalog):
    """A REST catalog each of whose requests ends, from the first one for a token on."""

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
                session.mount(prefix, BoundedAdapter(adapter, limits))
