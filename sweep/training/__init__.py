"""The engines: they train what they are given, and know neither Optuna nor a database.

TensorFlow and Keras are imported in `dense`, `mapped`, `population` and `reference` only, which run in the trainer
processes; the other modules here are safe to import anywhere.
"""
