"""One file for each kind of problem; the engine finds them through `TASKS`."""
