"""How plugins are found, checked and registered. The public face is ``floe_ingest.plugins``."""
