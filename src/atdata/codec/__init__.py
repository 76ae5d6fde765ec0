"""Values to bytes and back: the codec of a sample type, and one file per array format."""
