"""Imports the libraries of a load, for a program that does nothing else meanwhile."""

from __future__ import annotations

import gc
import threading

_lock = threading.Lock()


def import_libraries() -> None:
    """Import what every load needs, before it goes on in threads; one thread at a time.

    Threads that import a library with circular imports at the same time can be given modules that are only
    half made: Python breaks the deadlock that they would run into so.
    """
    with _lock:
        from floe_ingest.destination.libraries import import_all

        import_all()


def import_at_once() -> None:
    """Import what every load needs, with the garbage collector at rest.

    Imports make a million objects and next to no garbage, and the collector would walk through all of them
    again and again: a tenth of the time that they take. What is there afterwards stays out of its sight.
    """
    gc.disable()
    try:
        import_libraries()
    finally:
        gc.freeze()
        gc.enable()
