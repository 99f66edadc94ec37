"""From an architecture to its converted twin: the written file, the report, and the weights."""
