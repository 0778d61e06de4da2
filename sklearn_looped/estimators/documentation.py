"""Link of an estimator's HTML representation to its page of the API reference."""

import os
from typing import Any

DOCUMENTATION = "SKLEARN_LOOPED_DOCS"


class DocumentationLink:
    """Mixin that links the HTML representation of an estimator to its page of the documentation.

    The question mark of the representation links to ``generated/sklearn_looped.NAME.html`` of the
    built documentation. The environment variable ``SKLEARN_LOOPED_DOCS``, which is read whenever an
    estimator is shown, says where the documentation is: the URL of a site, or an address relative
    to the page that shows the estimator. The project has no public site yet, so there is no link
    without the variable.

    The mixin comes before `BaseEstimator` in the bases and replaces its link to scikit-learn.

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
        # scikit-learn adds no link if this is not the class's own package.
        return "sklearn_looped" if os.environ.get(DOCUMENTATION) else ""

    @property
    def _doc_link_template(self) -> Any:
        base = os.environ.get(DOCUMENTATION, "").rstrip("/")
        # scikit-learn fills in the name with str.format.
        return base.replace("{", "{{").replace("}", "}}") + (
            "/generated/sklearn_looped.{estimator_name}.html"
        )
