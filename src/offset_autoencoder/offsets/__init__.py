"""Offsets f(x): named tables of precomputed vectors.

A kind of offset is a module here, named like it, and its section of params.yaml in
:mod:`.config.offset_kinds`; nothing else names it.
"""
