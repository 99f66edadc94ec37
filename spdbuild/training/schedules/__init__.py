"""Learning rate schedules. `SCHEDULES` finds them by name."""

from spdbuild.training.schedules.schedule import SCHEDULES, Schedule

__all__ = ["SCHEDULES", "Schedule"]
