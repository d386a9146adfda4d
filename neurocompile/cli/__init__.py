"""The command line. Exit status 0 means success and nothing else does."""

from neurocompile.cli.program import app, main

__all__ = ["app", "main"]
