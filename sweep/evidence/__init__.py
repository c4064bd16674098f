"""What a comparison may claim: pure functions on arrays of correct rows, from counts to a verdict.

It stands beside the search and knows neither databases nor commands, so that every formula can be tested alone.
Rows are the unit throughout; a share or a percentage point is a number of rows divided by the rows of the split.
"""
