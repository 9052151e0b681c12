"""SOAR adapters: each one file, each a port implementation that knows no other."""
