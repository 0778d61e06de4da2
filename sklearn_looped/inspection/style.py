"""Axes, colours, and access to the looped step of a pipeline, for all displays."""

from typing import Any

from sklearn.pipeline import Pipeline

# Colours that colour-blind readers can distinguish (M. Okabe, K. Ito, "Color Universal Design",
# 2008), and a colour map of increasing lightness (J. R. Nuñez, C. R. Anderton, R. S. Renslow,
# PLOS ONE 2018).
BLUE, VERMILION, BLACK = "#0072B2", "#D55E00", "#000000"
COLOUR_MAP = "cividis"
MAX_LABELS = 40  # tick labels that are legible side by side


def axes_of(ax: Any, size: tuple[float, float]) -> Any:
    """Return the given Axes, or the Axes of a new figure of a size in inches."""
    if ax is None:
        import matplotlib.pyplot as plt

        _, ax = plt.subplots(figsize=size, layout="constrained")
    return ax


def label_ticks(axis: Any, labels: list[str], places: Any = None, **kwargs: Any) -> None:
    """Put labels at places of an axis, or 0, 1, 2, ..., and omit some if they would overlap."""
    stride = -(-len(labels) // MAX_LABELS)
    places = range(len(labels)) if places is None else places
    axis.set_ticks(places[::stride], labels[::stride], **kwargs)


def last_step(estimator: Any) -> Any:
    """Return the last step of a pipeline, or the estimator itself."""
    return estimator.steps[-1][1] if isinstance(estimator, Pipeline) else estimator


def as_last_step_sees(estimator: Any, X: Any) -> Any:
    """Pass a table through all steps of a fitted pipeline but the last."""
    if isinstance(estimator, Pipeline) and len(estimator) > 1:
        return estimator[:-1].transform(X)
    return X
