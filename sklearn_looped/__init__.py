"""Looped transformers as scikit-learn estimators.

One block of weights is applied again and again, ``state <- block(state, prompt)``. The weights are
either *learned* by meta-training or *programmed* by construction. The public names are listed in
``__init__.pyi`` and imported at their first use, because importing torch takes seconds.
"""

import lazy_loader

__version__ = "0.1.0.dev0"

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
__all__ = [*__all__, "__version__"]
