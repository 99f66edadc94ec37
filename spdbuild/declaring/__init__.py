"""How a class becomes a word of a file: its name, its arguments, their ranges and roles."""
