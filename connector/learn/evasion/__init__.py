"""Evasion: the same command written otherwise, and how much of what the model finds survives it."""
