"""Data sets: files into arrays, and which rows train and validate."""
