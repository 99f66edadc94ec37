"""Runs that have ended -> what they say together, over seeds and in pairs. Nothing here imports torch."""
