"""`python -m spdbuild` is `spdbuild`."""

from spdbuild.cli import main

main()
