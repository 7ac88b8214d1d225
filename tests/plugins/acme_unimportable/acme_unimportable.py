"""Sample plugin: would bring the source type ``telex``, but needs a module that is not installed."""

import acme_telex_driver  # noqa: F401 - it is missing on purpose
