"""Checks of what the library endures; each returns its trials, outcome and broken promises."""
