"""Evaluation: models measured on groups that they never saw, beside baselines. Starts as a subprocess, like training."""
