"""Backends of neurocompile, found by the entry points of its distribution."""
