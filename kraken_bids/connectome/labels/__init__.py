"""Label images: their numbers, their regions, where they lie."""
