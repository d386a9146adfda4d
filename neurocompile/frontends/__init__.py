"""Readers of network files and objects. Each returns a ``Network``."""
