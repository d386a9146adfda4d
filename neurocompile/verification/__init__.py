"""Compares executors with each other and quantized networks with their float origin."""
