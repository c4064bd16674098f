"""What protects the service: checks of every request, roles, tokens, limits, headers."""
