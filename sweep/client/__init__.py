"""HTTP client of `sweep serve`, for the command line."""
