"""What `spdbuild data check` and `data stats` print: a file for each task, with the functions `check` and `stats`."""
