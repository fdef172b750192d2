"""Who meets which model: arms, buckets and the split document that a gateway serves by."""
