"""Retraining on closed alerts: a quick path that corrects the heads, and a full path that trains anew."""
