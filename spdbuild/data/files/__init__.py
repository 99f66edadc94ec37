"""From files to pixels: which there are, what they hold, and where what was decoded is kept."""
