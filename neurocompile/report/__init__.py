"""Renders facts for people. Computes nothing."""
