"""lava-dl: netx's ``.net`` files become NIR and a contract. See docs/lava-dl.md."""
