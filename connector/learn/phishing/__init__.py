"""Phishing: labelled mail of any format as training rows."""
