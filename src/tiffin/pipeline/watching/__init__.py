"""When a run begins by itself: by a schedule, or because data is new."""
