"""A TCP proxy before a real server, in a process of its own, that cuts chosen connections.

In a process of its own, since native drivers hold Python's lock while they connect.
"""

from __future__ import annotations

import itertools
import json
import select
import socket
import socketserver
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def cutting_proxy(port: int, limits: dict[int, int]) -> Iterator[int]:
    """Pass connections on to ``port`` of this machine; yield the port to connect to.

    Arguments:
        port: of the server.
        limits: by the number of a connection, from 1: after how many bytes from the server it is cut.
    """
    command = [sys.executable, __file__, str(port), json.dumps(limits)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield int(process.stdout.readline())
        finally:
            process.kill()


def serve(port: int, limits: dict[str, int]) -> None:
    """Serve for ever."""
    numbers = itertools.count(1)

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            left = limits.get(str(next(numbers)), 1 << 60)
            with socket.create_connection(("127.0.0.1", port)) as server:
                while left > 0:
                    for ready in select.select([self.request, server], [], [])[0]:
                        data = ready.recv(65536)
                        if not data:
                            return
                        if ready is server:
                            left -= len(data)
                        (server if ready is self.request else self.request).sendall(data)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as proxy:
        print(proxy.server_address[1], flush=True)
        proxy.serve_forever()


if __name__ == "__main__":
    serve(int(sys.argv[1]), json.loads(sys.argv[2]))
