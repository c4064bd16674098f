"""From a finished search to a verdict: race, confirmation, repeated holdout, and what they say."""
