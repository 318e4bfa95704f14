"""Measuring and drilling the product: scripts for this machine, no part of what is installed."""
