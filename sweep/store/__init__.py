"""The study database: transactions, locks, Optuna's tables and questions about them."""
