"""Conversion of any torch module, not only of those that spdbuild built."""
