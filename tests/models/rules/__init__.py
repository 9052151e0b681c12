"""Sigma rules: against pySigma's SQLite backend, and by themselves."""
