"""From a program to the cores of its hardware, their memories and cycles."""
