"""Weights written by hand, exact to a stated bound.

`transformer` is what all of it is built of: tokens with named fields, layers, heads and units of
fixed weights, their evaluation, and the certificate that says why a result is exact. `machines`
are computers whose program is data: SUBLEQ and FLEQ. `algorithms` are loops for one purpose:
gradient descent, linear algebra, graphs, kernels, clustering.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
