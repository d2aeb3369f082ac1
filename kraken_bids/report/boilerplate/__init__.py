"""What was done to connectomes, in the words of a methods section, and whom to cite for it."""
