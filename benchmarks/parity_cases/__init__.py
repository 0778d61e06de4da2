"""Random cases of the parity benchmark: an estimator beside the one that it is to equal."""
