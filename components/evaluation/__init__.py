"""Candidate and champion on the same rows of the eval split, by slice, with a written verdict."""
