"""From a finished search to a verdict, and the page that shows it.

It stands above the search and the statistics, which do not know each other: it lets the one train what the other needs.
"""
