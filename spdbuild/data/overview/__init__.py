"""What a data set is and holds: its kind, its faults, its numbers, and some of its images."""
