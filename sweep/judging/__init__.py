"""The verdict for results that were made elsewhere: read as a table of runs, compared, and told in words."""
