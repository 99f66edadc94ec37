"""Trained networks as files that run without spdbuild: prepared, written, compared, and only then in their place."""
