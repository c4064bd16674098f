"""The search: which candidates to try, in rounds, and the record that is kept of them.

Optuna and SQLAlchemy are imported here only.
"""
