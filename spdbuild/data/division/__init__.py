"""Parts of the images of one set: folds, and groups that stay together."""
