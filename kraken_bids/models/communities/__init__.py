"""Dynamic communities: one soft partition of regions for all scans, and when each is present."""
