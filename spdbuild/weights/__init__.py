"""Weights in and out: files, names of other people, and what was loaded."""
