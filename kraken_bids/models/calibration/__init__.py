"""Calibration of predictions on a cohort, and intervals around them; arrays in, arrays out."""
