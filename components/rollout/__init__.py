"""Live traffic for a candidate, little by little, until it is promoted or taken back."""
