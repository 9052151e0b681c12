"""Launchers of the real servers that tests, demonstrations and benchmarks run against; importable without pytest."""
