"""Recipes that turn public corpora into labelled raw events: one recipe a source, each pinned in ``sources.toml``."""
