"""Weights written by hand, exact to a stated bound."""
