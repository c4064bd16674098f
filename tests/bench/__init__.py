"""Measurements of how fast, lean and sturdy a sweep is: `make bench` runs them, README.md tells how to read them."""
