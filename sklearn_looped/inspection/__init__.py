"""Displays in scikit-learn's style; matplotlib is needed only for drawing."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
