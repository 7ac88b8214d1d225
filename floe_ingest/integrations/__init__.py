"""Adapters to other programs, each thin over the plugin manager and the engine."""
