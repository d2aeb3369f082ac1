"""Arrays and images in, connectomes out: numpy and scipy; no torch, no paths."""
