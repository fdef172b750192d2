"""Simple models on the same features as the trained one: a constant, a linear model, gradient-boosted trees."""
