"""Build, convert and train convolutional networks declaratively."""
