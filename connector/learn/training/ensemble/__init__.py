"""Training what says of all members together: their scores out of fold, the meta-classifier, and the bundle. See docs/ensemble.md."""
