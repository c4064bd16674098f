"""Finds the learning-rate schedule for a Keras model, and says whether it is really better."""
