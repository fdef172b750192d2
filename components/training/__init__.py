"""Training: one loop for one device, mirrored devices and several worker processes; exact resume; export."""
