"""The network of a run, and the weights that it starts with."""
