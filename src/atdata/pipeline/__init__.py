"""Order, decoding and stages: from shards to samples."""
