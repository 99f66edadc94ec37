"""Batches of images: in what order, made by which process."""
