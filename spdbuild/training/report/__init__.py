"""What is told of a run when it has ended."""
