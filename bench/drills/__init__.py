"""Faults on purpose, at a size CI can carry. Full size: see README.md in this folder."""
