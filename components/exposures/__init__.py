"""What was shown to whom, and what came of it: the log of a gateway."""
