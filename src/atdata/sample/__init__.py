"""Sample types: what a user defines, and samples of no defined type."""

from atdata.sample.base import PackableSample as PackableSample
from atdata.sample.base import pack as pack
from atdata.sample.base import unpack as unpack
from atdata.sample.dynamic import DictSample as DictSample
from atdata.sample.packable import packable as packable
