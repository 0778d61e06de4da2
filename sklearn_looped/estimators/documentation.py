"""Link of an estimator's HTML representation to its page of the API reference."""

import os
from typing import Any

DOCUMENTATION = "docs/_build/html"


class DocumentationLink:
    """Mixin of every public estimator: the question mark of its HTML representation has a link.

    It leads to ``generated/sklearn_looped.NAME.html`` of the built documentation. The project has
    no public site yet, so by default the address is relative, `DOCUMENTATION`: right for a notebook
    in the root of a checkout where the documentation was built, and of no page elsewhere. The
    environment variable ``SKLEARN_LOOPED_DOCS``, read whenever an estimator is shown, names another
    place: a folder's address or the URL of a site.

    Stands before `BaseEstimator` in the bases, whose link to scikit-learn's site it replaces.

    Examples
    --------
    >>> from sklearn_looped import ProgrammedRidge
    >>> ProgrammedRidge()._get_doc_link()
    'docs/_build/html/generated/sklearn_looped.ProgrammedRidge.html'
    """

    _doc_link_module = "sklearn_looped"

    @property
    def _doc_link_template(self) -> Any:
        base = os.environ.get("SKLEARN_LOOPED_DOCS", DOCUMENTATION).rstrip("/")
        # The name is filled in by scikit-learn, with str.format.
        return base.replace("{", "{{").replace("}", "}}") + (
            "/generated/sklearn_looped.{estimator_name}.html"
        )
