"""Records of the project's runs in MLflow, brought in line with the files by ``publish``.

``records`` builds from the files what MLflow should hold, ``store`` reads what it holds,
``publish`` carries out the difference by ``writer``, and ``served_models`` logs the best runs as
models that MLflow serves. ``live`` shows a training while it goes on.
"""
