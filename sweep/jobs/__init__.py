"""Studies ordered through the service: a persistent queue, and the supervisor that runs it."""
