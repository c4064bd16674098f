"""optuna-dashboard on the studies, for reading, with our verdict as its notes."""
