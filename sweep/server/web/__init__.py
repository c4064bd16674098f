"""The service's HTML pages."""
