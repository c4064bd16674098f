"""What stands in front of every request: checks, roles, tokens, limits, headers."""
