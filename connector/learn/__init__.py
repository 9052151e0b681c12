"""Learning: corpora, datasets and training. Never on the hot path; ends in a new bundle of the model store."""
