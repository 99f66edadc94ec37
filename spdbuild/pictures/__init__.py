"""Pictures of images: boxes and words drawn on them, and grids."""
