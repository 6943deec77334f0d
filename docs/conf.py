"""Sphinx configuration of the site: ``make docs``."""

import sys
from importlib.metadata import version as installed_version
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

project = "offset-autoencoder"
author = "the offset-autoencoder authors"
version = release = installed_version("offset-autoencoder")

extensions = [
    *("myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"),
    *("generated_reference", "readmes"),
]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
exclude_patterns = ["_build"]

# Docstrings name modules that have no page, so Python references are not looked up.
nitpicky = True
nitpick_ignore_regex = [("py:.*", ".*")]
autodoc_typehints = "none"  # docstrings say what an argument is, in fewer words
autodoc_member_order = "bysource"

html_theme = "furo"
html_title = project
html_show_sphinx = False
