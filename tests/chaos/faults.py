"""What can break, where, when and for how long: drawn from a seed."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from random import Random

    from chaos.world import World

LOADER_KILLED = "loader killed"
DISK_FULL = "disk full"
NETWORK = (
    "latency",
    "bandwidth",
    "reset",
    "cut in the middle",
    "half-closed",
    "answers swallowed",
    "blackhole",
    "refused",
)
SERVER_KILLED = "server killed"


@dataclass(frozen=True)
class Fault:
    """One fault.

    Arguments:
        kind: what happens.
        server: to which.
        at: when it begins, in shares of an undisturbed load's time.
        seconds: until it is over; None for as long as the load runs.
        amount: milliseconds, KB per second, or bytes, as the kind needs.
        stream: the direction, for kinds that have one.
    """

    kind: str
    server: str
    at: float = 0.0
    seconds: float | None = None
    amount: int = 0
    stream: str = "downstream"

    def __str__(self) -> str:
        lasting = "as long as the load" if self.seconds is None else f"for {self.seconds:.1f} s"
        return f"{self.kind} ({self.server}, {self.stream}, {self.amount}) at {self.at:.2f} {lasting}"

    @property
    def category(self) -> str:
        """The category of a load that fails for it."""
        return "permanent" if self.kind == DISK_FULL else "transient"

    def begin(self, world: World) -> None:
        """Break something."""
        if self.kind == SERVER_KILLED:
            _server(world, self.server).kill()
        elif self.kind == DISK_FULL:
            world.limit_bucket(self.amount)
        elif self.kind in NETWORK:
            self._spoil(world)

    def end(self, world: World) -> None:
        """Mend it."""
        if self.kind == SERVER_KILLED:
            _server(world, self.server).start()
        elif self.kind == DISK_FULL:
            world.limit_bucket(0)
        elif self.kind in NETWORK:
            world.proxies[self.server].heal()

    def _spoil(self, world: World) -> None:
        proxy = world.proxies[self.server]
        if self.kind == "latency":
            for stream in ("upstream", "downstream"):
                proxy.spoil("latency", stream=stream, latency=self.amount, jitter=self.amount // 2)
        elif self.kind == "bandwidth":
            proxy.spoil("bandwidth", stream=self.stream, rate=self.amount)
        elif self.kind == "reset":
            proxy.spoil("reset_peer", stream=self.stream, timeout=self.amount)
        elif self.kind == "cut in the middle":
            proxy.spoil("limit_data", stream=self.stream, bytes=self.amount)
        elif self.kind == "half-closed":
            # Each end learns of the other's close later, and one may still wait when the other has gone.
            proxy.spoil("slow_close", stream=self.stream, delay=self.amount)
            proxy.spoil("limit_data", stream=self.stream, bytes=self.amount * 10)
        elif self.kind == "answers swallowed":
            proxy.spoil("timeout", stream="downstream", timeout=0)
        elif self.kind == "blackhole":
            for stream in ("upstream", "downstream"):
                proxy.spoil("timeout", stream=stream, timeout=0)
        else:
            proxy.close()


_AMOUNTS = {
    "latency": (20, 300),
    "bandwidth": (30, 400),
    "reset": (0, 300),
    "cut in the middle": (100, 60_000),
    "half-closed": (200, 4000),
    DISK_FULL: (100, 100),
}
_WHOLE_LOAD = ("latency", "bandwidth")


def draw(random: Random, servers: tuple[str, ...]) -> Fault:
    """Draw a fault.

    Arguments:
        random: with a seed.
        servers: that the load needs.
    """
    kind = random.choice([*NETWORK, *NETWORK, SERVER_KILLED, SERVER_KILLED, DISK_FULL, LOADER_KILLED])
    server = random.choice(servers)
    if kind in (DISK_FULL, LOADER_KILLED):
        server = "minio" if kind == DISK_FULL else "loader"
    low, high = _AMOUNTS.get(kind, (0, 0))
    whole = kind in _WHOLE_LOAD or (kind == DISK_FULL and random.random() < 0.5)
    return Fault(
        kind,
        server,
        at=0.0 if kind == "cut in the middle" or whole else random.uniform(0.3, 1.2),
        seconds=None if whole else random.uniform(0.5, 5.0),
        amount=random.randint(low, high),
        stream=random.choice(["upstream", "downstream"]),
    )


def _server(world: World, name: str) -> Any:
    found = getattr(world, name)
    return found if name == "postgres" else found.server


def wait_until(end: float) -> None:
    """Sleep until a moment of the monotonic clock."""
    time.sleep(max(0.0, end - time.monotonic()))
