"""The plugin manager: finds, checks and lists plugins, and calls their hooks.

``manager`` is the public face. Behind it, ``discovery`` finds entry points, ``loader`` registers what they
bring, ``guard`` names plugin and hook in whatever goes wrong, and ``results`` checks what hooks return.
"""

from floe_ingest.plugins.info import PluginInfo, RegisteredType
from floe_ingest.plugins.manager import Plugins, load_plugins

__all__ = ["PluginInfo", "Plugins", "RegisteredType", "load_plugins"]
