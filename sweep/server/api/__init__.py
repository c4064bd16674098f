"""The HTTP API under `/v1`, its description, health and events."""
