"""The HTTP service: API, pages and the guard in front of them; the web framework loads only here."""
