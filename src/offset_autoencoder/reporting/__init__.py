"""What a person sees: tables, the data behind the plots, pictures."""
