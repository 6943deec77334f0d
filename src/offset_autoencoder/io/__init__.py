"""Files, arrays and tables on disk, whatever they hold."""
