"""The folder of a run: its files, and who writes into it."""
