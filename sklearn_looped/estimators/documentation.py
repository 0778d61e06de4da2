"""Link of an estimator's HTML representation to its page of the API reference."""

import os
from typing import Any

DOCUMENTATION = "SKLEARN_LOOPED_DOCS"


class DocumentationLink:
    """Mixin of every public estimator: the question mark of its HTML representation has a link.

    It leads to ``generated/sklearn_looped.NAME.html`` of the built documentation, where the
    environment variable ``SKLEARN_LOOPED_DOCS``, read whenever an estimator is shown, says that
    this lies: the URL of a site, or an address relative to the page that shows the estimator. The
    project has no public site yet, so without the variable there is no link.

    Stands before `BaseEstimator` in the bases, whose link to scikit-learn's site it replaces.

    Examples
    --------
    >>> import os
    >>> from sklearn_looped import ProgrammedRidge
    >>> ProgrammedRidge()._get_doc_link()
    ''
    >>> os.environ["SKLEARN_LOOPED_DOCS"] = "docs/_build/html"
    >>> ProgrammedRidge()._get_doc_link()
    'docs/_build/html/generated/sklearn_looped.ProgrammedRidge.html'
    >>> del os.environ["SKLEARN_LOOPED_DOCS"]
    """

    @property
    def _doc_link_module(self) -> str:
        # scikit-learn leaves the link out where this is not the class's own package.
        return "sklearn_looped" if os.environ.get(DOCUMENTATION) else ""

    @property
    def _doc_link_template(self) -> Any:
        base = os.environ.get(DOCUMENTATION, "").rstrip("/")
        # The name is filled in by scikit-learn, with str.format.
        return base.replace("{", "{{").replace("}", "}}") + (
            "/generated/sklearn_looped.{estimator_name}.html"
        )
