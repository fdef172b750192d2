"""Smaller models of the trained one, each measured, and the one the spec's rule picks."""
