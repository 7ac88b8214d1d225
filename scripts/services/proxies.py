"""Toxiproxy: TCP proxies before other servers, which make connections slow, broken or silent when told.

Its toxics are described in its README (https://github.com/Shopify/toxiproxy#toxics).
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from services import programs
from services.processes import answers, free_port, running, temporary_folder

if TYPE_CHECKING:
    from collections.abc import Iterator

    from services.processes import Server

_SECONDS = 10


@dataclass(frozen=True, slots=True)
class Toxiproxy:
    """A running Toxiproxy.

    Arguments:
        uri: of its own API.
        server: its process.
    """

    uri: str
    server: Server = field(repr=False)

    def before(self, name: str, port: int) -> Proxy:
        """Put a proxy before a port of the loopback.

        Arguments:
            name: of the proxy, unique.
            port: of the server.
        """
        listen = free_port()
        document = {"name": name, "listen": f"127.0.0.1:{listen}", "upstream": f"127.0.0.1:{port}"}
        _request("POST", f"{self.uri}/proxies", {**document, "enabled": True})
        return Proxy(f"{self.uri}/proxies/{name}", name, listen)


@dataclass(frozen=True, slots=True)
class Proxy:
    """One proxy.

    Arguments:
        uri: of the API's resource.
        name: its own.
        port: where it listens, on 127.0.0.1.
    """

    uri: str
    name: str
    port: int

    def spoil(
        self, toxic: str, *, stream: str = "downstream", toxicity: float = 1.0, **settings: int
    ) -> None:
        """Add a toxic; connections that are open meet it as well.

        Arguments:
            toxic: its kind: latency, bandwidth, slow_close, timeout, reset_peer, slicer, limit_data.
            stream: ``downstream`` is from the server to the client, ``upstream`` the other way.
            toxicity: the share of connections that meet it.
            settings: of that kind, by Toxiproxy's names; milliseconds, bytes, KB per second.
        """
        document = {"type": toxic, "stream": stream, "toxicity": toxicity, "attributes": settings}
        _request("POST", f"{self.uri}/toxics", document)

    def close(self) -> None:
        """Refuse connections, and cut those that are open."""
        _request("POST", self.uri, {"enabled": False})

    def heal(self) -> None:
        """Remove all toxics, and take connections. Those that a blackhole has swallowed are cut."""
        for toxic in _request("GET", f"{self.uri}/toxics"):
            _request("DELETE", f"{self.uri}/toxics/{toxic['name']}")
        _request("POST", self.uri, {"enabled": True})


@contextmanager
def toxiproxy() -> Iterator[Toxiproxy]:
    """Run Toxiproxy without any proxy."""
    program = programs.toxiproxy()
    with temporary_folder("toxiproxy") as folder:
        port = free_port()
        uri = f"http://127.0.0.1:{port}"
        command = [str(program), "-host", "127.0.0.1", "-port", str(port)]
        with running(command, folder, lambda: answers(f"{uri}/version")) as server:
            yield Toxiproxy(uri, server)


def _request(method: str, uri: str, document: Any = None) -> Any:
    import requests

    answer = requests.request(method, uri, json=document, timeout=_SECONDS)
    answer.raise_for_status()
    return answer.json() if answer.content else None
