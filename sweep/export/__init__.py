"""A trial as something that leaves: a script, JSON, or a trained network."""
