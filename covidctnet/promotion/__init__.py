"""Whether a new model replaces the one in production, on what evidence, and which one was live when."""
