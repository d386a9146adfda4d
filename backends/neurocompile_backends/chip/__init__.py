"""The cycle-accurate simulator of a chip."""
