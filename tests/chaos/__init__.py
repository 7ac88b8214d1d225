"""Loads while things break: servers, networks and the loader itself; then tables are compared with a model.

``python -m chaos`` (``make chaos``) is the long version; ``tests/services/test_chaos.py`` is the short one.
"""
