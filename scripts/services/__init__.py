"""Real servers on the loopback, for tests and for trying things out: ``make services-up``.

Each server is a context manager that starts a plain process on a free port, waits until it answers, and ends
that process alone. What is missing on the machine is fetched by package managers, into a cache folder.
"""
