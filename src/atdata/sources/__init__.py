"""Places that shards are read from.

`source_of` takes what people write (a path, a URL, a list of them) and gives a source; a source
of one's own is any object with `list_shards` and `open_shard`.
"""

from atdata.sources.registry import source_of as source_of
from atdata.sources.url import URLSource as URLSource
