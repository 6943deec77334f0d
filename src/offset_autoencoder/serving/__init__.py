"""A trained run applied to new samples: scaled as ``prepare`` did, with its own offset.

``from_run`` takes a run out of the project, ``folder`` keeps it as a folder that needs nothing
else, and ``applied`` is what both give.
"""
