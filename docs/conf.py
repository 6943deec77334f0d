"""Sphinx configuration of the site: ``make docs``."""

from importlib.metadata import version as installed_version

project = "offset-autoencoder"
author = "the offset-autoencoder authors"
version = release = installed_version("offset-autoencoder")

extensions = ["myst_parser"]
myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3
exclude_patterns = ["_build"]

html_theme = "furo"
html_title = project
html_show_sphinx = False
