"""CSV files with the class of each image: their rows, which columns say what, and what is wrong in them."""
