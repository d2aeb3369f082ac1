"""The only door to the dataset: knows paths and names, no mathematics."""
