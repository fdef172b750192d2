"""Statistics over mergeable sums: small pure functions that the gates, the rollout and the reports share."""
