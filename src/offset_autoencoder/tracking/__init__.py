"""The record of every run in MLflow: what the files say, what the store holds, the difference.

``records`` are read from the project's files, ``state`` from the store (without importing
MLflow), ``plan`` is their difference, and ``publish`` carries it out.
"""
