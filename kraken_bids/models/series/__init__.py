"""Learning from region series: networks that fill in masked volumes, and decode from them."""
