"""Lava: programs for Loihi in Intel's Lava, and runs of them as a check on our own numerics."""
