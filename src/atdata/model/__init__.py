"""Frozen values: the facts that the layers above pass to each other."""
