"""Presentation of the results: tables, the data behind the plots, pictures."""
