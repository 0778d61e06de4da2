"""From a table to predictions: encoding, canonical form, experts, members and their average."""
