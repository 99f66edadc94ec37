"""Runs that have ended -> a joint report on them, over seeds and in pairs. Nothing here imports torch."""
