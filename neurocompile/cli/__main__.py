"""``python -m neurocompile.cli``."""

from neurocompile.cli.main import main

main()
