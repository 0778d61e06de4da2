"""Pictures of looped transformers, in the style of scikit-learn's Display classes."""
