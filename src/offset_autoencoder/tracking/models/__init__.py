"""The best runs as models that MLflow serves, and the best of those as the registered champion.

``wanted`` says from the reports which runs those are, ``publish`` brings the store in line: it has
them written by another process (``exported``), logs them (``logged``) and moves the champion
(``champion``). What was done is noted in tags of the MLflow runs (``marks``), so that finding out
that nothing is to do takes no MLflow.
"""
