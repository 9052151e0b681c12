"""Training: the only room that imports torch, transformers and scikit-learn. The daemon starts it as a subprocess."""
