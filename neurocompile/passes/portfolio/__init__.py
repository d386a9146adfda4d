"""``partition`` by several methods, of which the best is taken: see :class:`Portfolio`."""

from neurocompile.passes.portfolio.choose import Portfolio

__all__ = ["Portfolio"]
