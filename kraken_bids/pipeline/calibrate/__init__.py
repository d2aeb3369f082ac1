"""Calibrated predictions: fitted on a cohort, saved, and written for each session."""
