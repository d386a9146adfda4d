"""The chip simulator: executes a ``Program`` core by core and says when and at what cost."""
