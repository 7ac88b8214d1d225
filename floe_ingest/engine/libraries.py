"""Imports the libraries of a load at once, for a program that does nothing else meanwhile."""

from __future__ import annotations

import gc


def import_libraries() -> None:
    """Import what every load needs, with the garbage collector at rest.

    Imports make a million objects and next to no garbage, and the collector would walk through all of them
    again and again: a tenth of the time that they take. What is there afterwards stays out of its sight.
    """
    gc.disable()
    try:
        import dlt

        from floe_ingest.destination import client, factory
        from floe_ingest.engine import loading
    finally:
        gc.freeze()
        gc.enable()
    # Named here, since an import that nothing uses looks like a mistake.
    _ = dlt, client, factory, loading
