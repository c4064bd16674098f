"""The study database: transactions, locks, Optuna's tables and questions about them."""

STORAGE_VARIABLE = "SWEEP_STORAGE"  # names the database, in the user's environment and in that of a server's sweeps
