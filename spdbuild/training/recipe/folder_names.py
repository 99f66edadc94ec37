"""Names that the folder of a run can have."""

from __future__ import annotations


def folder_fault(name: str) -> str:
    """Why a name cannot be that of a subfolder; empty if it can."""
    if not name.strip() or name in (".", ".."):
        return "is none that a folder can have"
    wrong = next((sign for sign in name if sign in "/\\" or not sign.isprintable()), "")
    return f"has {wrong!r} in it" if wrong else ""
