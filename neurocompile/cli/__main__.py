"""``python -m neurocompile.cli``."""

from neurocompile.cli.program import main

main()
