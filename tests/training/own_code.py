"""What runs with ops and passes of their own need."""

from __future__ import annotations

import sys


def forget() -> None:
    """Forget the files that architectures have imported, as in another process."""
    for name in [name for name in sys.modules if name.startswith("spdbuild_imported_")]:
        del sys.modules[name]
