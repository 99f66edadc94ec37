"""YAML -> Graph: the structure of a file, its lines, and their expansion."""
