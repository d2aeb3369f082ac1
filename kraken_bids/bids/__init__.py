"""The only door to the dataset: finds, reads and writes files; knows paths and names, no mathematics."""
