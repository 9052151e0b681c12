"""Models: the store of bundles, their members, and the ensemble that turns member scores into predictions."""
