"""scikit-learn estimators: thin glue over the learned and the programmed half."""
