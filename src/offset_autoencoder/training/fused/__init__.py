"""Dense networks, trained by one compiled loop: one run a thread, no framework in between."""
