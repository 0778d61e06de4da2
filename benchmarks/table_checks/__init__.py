"""Tables as people have them, changed without a change of meaning, and odd ones."""
