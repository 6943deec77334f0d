"""What the runs reached, and what may be said of their differences."""
