"""What candidate and champion would earn, judged on what was logged before either is live."""
