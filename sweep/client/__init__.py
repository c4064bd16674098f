"""Asking a `sweep serve`: the command line's HTTP client."""
