"""Array formats, one per file, each found by name in `atdata.codec.registry`."""
