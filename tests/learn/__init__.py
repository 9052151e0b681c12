"""Corpora, dataset and training."""
