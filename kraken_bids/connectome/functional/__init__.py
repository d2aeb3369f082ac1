"""BOLD volumes to region series, cleaning, and functional connectomes."""
