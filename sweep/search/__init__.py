"""The search: which candidates to try, in rounds; Optuna loads here and in `store`."""
