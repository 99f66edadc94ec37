"""What the operating system and the memory have to do with: whole files, locks, memory, time."""
