"""Networks of others -> the language of spdbuild, with their weights: torch modules, and files of rows."""
