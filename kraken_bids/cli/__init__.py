"""The two console commands; click lives here, and heavy imports wait until they are needed."""
