"""The two plain numpy executors all others are measured against."""
