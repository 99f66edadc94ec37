"""The commands of `spdbuild data`, one in each file."""
