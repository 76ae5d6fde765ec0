"""Shards: tar files that hold samples, and how they are named, written and read."""
