"""Data sets: a file for each, or for a few that are alike."""
