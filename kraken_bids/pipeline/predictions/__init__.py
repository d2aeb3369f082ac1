"""Predicting: a cohort's connectomes, adapted and encoded; what the model makes of them."""
