"""The phases of a compilation, one immutable type each (see docs/architecture.md)."""
