"""Studies that others asked for: the book that keeps their orders, and the supervisor that has them run.

It stands above search and review because an order is done by the whole of `sweep run`, in a process of its own.
"""
