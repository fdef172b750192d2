"""Of the models of a day, the simplest that is no worse than the best beyond a tolerance."""
