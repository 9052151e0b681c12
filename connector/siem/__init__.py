"""Adapters for SIEMs, one file each."""
