"""What can be said of networks without training them: costs, receptive fields, times, and how two compare."""
