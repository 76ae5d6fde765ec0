"""Datasets for other libraries: torch, JAX and Grain, Ray; each in a file of its own."""
