"""Sphinx configuration. ``sphinx-build -W --keep-going docs docs/_build/html``, without network."""

import os
import re
import sys
from pathlib import Path
from typing import Any

import sklearn_looped

DOCS = Path(__file__).parent
sys.path.insert(0, str(DOCS))  # mathml.py

project = "sklearn_looped"
author = "the sklearn_looped authors"
copyright = f"{author}, BSD-3-Clause"
version = release = sklearn_looped.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "numpydoc",
    "myst_parser",
    "sphinx_design",
    "sphinx_gallery.gen_gallery",
    "matplotlib.sphinxext.plot_directive",
    "mathml",
]
exclude_patterns = ["_build", "examples", "sg_execution_times.rst"]
templates_path = ["_templates"]

html_theme = "pydata_sphinx_theme"
html_title = "sklearn_looped"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_favicon = "_static/favicon.svg"
html_context = {"default_mode": "auto"}  # light or dark, as the reader's system
html_math_renderer = "mathml"
html_copy_source = False
html_show_sourcelink = False
html_theme_options = {
    "logo": {"text": "sklearn_looped"},
    "navbar_end": ["theme-switcher"],
    "header_links_before_dropdown": 5,
    "footer_start": ["copyright"],
    "footer_center": [],
    "footer_end": [],
    "show_toc_level": 2,
}
html_sidebars = {name: [] for name in ("index", "looped_transformer", "installing", "changelog")}

myst_enable_extensions = ["colon_fence", "dollarmath"]
myst_heading_anchors = 3

default_role = "py:obj"  # `name` in a docstring is a link where there is such a page
numpydoc_show_class_members = False
autosummary_generate = True
autodoc_member_order = "bysource"
autodoc_typehints = "none"  # the docstrings say it in words

plot_formats = ["svg"]
plot_html_show_formats = False
plot_html_show_source_link = False

# Links of the estimators that the gallery shows; its pages lie one folder below the root.
os.environ["SKLEARN_LOOPED_DOCS"] = ".."
# The OpenML example runs only where a folder is named that may hold its data: a build never needs
# the network.
RUN = r"plot_" if "OPENML_CACHE_DIR" in os.environ else r"plot_(?!\d_openml)"
sphinx_gallery_conf = {
    "examples_dirs": "examples",
    "gallery_dirs": "auto_examples",
    "filename_pattern": os.sep + RUN,
    "within_subsection_order": "FileNameSortKey",
    "doc_module": ("sklearn_looped",),
    "backreferences_dir": "generated/backreferences",
    "remove_config_comments": True,
    "show_memory": False,
    "write_computation_times": False,
    "plot_gallery": "True",
    "download_all_examples": False,
}


def ours_alone(app: Any, what: str, name: str, obj: Any, skip: bool, options: Any) -> bool | None:
    """Leave out what a class inherits from scikit-learn, torch or Python: it is not our text."""
    function = getattr(obj, "fget", None) or getattr(obj, "func", None) or obj
    if not str(getattr(function, "__module__", "")).startswith("sklearn_looped"):
        return True
    return True if name.startswith("set_") and name.endswith("_request") else None


def quote_shapes(app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Quote fitted attributes in shapes, ``(n_features_in_,)``: reST takes ``name_`` for a link."""
    lines[:] = [
        re.sub(r"(?<=[( ])(\w+_)(?=[,)])", r"``\1``", line) if "of shape (" in line else line
        for line in lines
    ]


def setup(app: Any) -> None:
    """Connect the filters of members and docstrings; numpydoc's own have priority 500."""
    app.connect("autodoc-skip-member", ours_alone)
    app.connect("autodoc-process-docstring", quote_shapes, priority=400)
