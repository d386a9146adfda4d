"""One pass a file. A pass is a frozen dataclass of options with ``run(phase) -> next phase``."""
