"""The two console commands; click lives here, and nothing heavy is imported before it is needed."""
