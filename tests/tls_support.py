"""A certificate authority of a test's own, and TLS in front of any server of the loopback."""

from __future__ import annotations

import asyncio
import ssl
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import trustme

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@dataclass
class Front:
    """TLS in front of a server.

    Arguments:
        url: where it listens.
        ca: a PEM file with the certificate of the authority that signed its certificate.
        greeted: one item for each connection that a client began, trusting or not.
    """

    url: str
    ca: Path
    greeted: list[None] = field(default_factory=list)


@contextmanager
def tls_front(port: int, folder: Path, identity: str = "127.0.0.1") -> Iterator[Front]:
    """Take TLS on a port of the loopback, and hand on to another one what comes.

    Arguments:
        port: of the server.
        folder: where the authority's certificate is written.
        identity: whom the certificate is for.
    """
    authority = trustme.CA()
    ca = folder / "ca.pem"
    authority.cert_pem.write_to_path(ca)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(identity).configure_cert(context)
    front = Front("", ca)
    context.sni_callback = lambda *_: front.greeted.append(None)
    loop = asyncio.new_event_loop()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from_server, to_server = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(_pump(reader, to_server), _pump(from_server, writer))

    server = loop.run_until_complete(asyncio.start_server(serve, "127.0.0.1", 0, ssl=context))
    front.url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield front
    finally:
        asyncio.run_coroutine_threadsafe(_end(server), loop).result(timeout=20)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass  # either side may hang up: the other one is told by the end of its connection
    finally:
        writer.close()


async def _end(server: asyncio.Server) -> None:
    server.close()
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
