"""YAML and JSON: read with places, checked against a schema, written."""
