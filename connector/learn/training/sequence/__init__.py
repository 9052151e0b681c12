"""Trains the sequence member, and measures it on recordings and campaigns that were left out."""
