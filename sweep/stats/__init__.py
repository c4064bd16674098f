"""Statistics of a comparison: pure functions on arrays of scores, from counts to a verdict."""
