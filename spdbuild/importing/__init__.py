"""Third-party networks -> the language of spdbuild, with their weights: torch modules, and files of rows."""
