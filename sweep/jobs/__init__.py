"""Studies that a server runs: a persistent queue, the supervisor of its processes, and the service over both."""
