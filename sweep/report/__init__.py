"""The report: one HTML page with the verdict and its figures; Plotly loads only here and in `dashboard`."""
