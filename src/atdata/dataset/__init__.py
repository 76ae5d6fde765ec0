"""The reader's front: describe a dataset, read it, write one."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from atdata.dataset._dataset import Dataset as Dataset
from atdata.dataset._mix import concat as concat
from atdata.dataset._mix import mix as mix
from atdata.dataset._write import write_samples as write_samples
from atdata.dataset._write import write_shards as write_shards
from atdata.pipeline.stream import SampleStream as SampleStream
from atdata.sample.base import PackableSample as PackableSample
from atdata.sample.batch import SampleBatch as SampleBatch
from atdata.sample.dynamic import DictSample as DictSample
from atdata.sample.packable import packable as packable

type Pathlike = str | Path
"""A path of this machine."""

type WDSRawSample = dict[str, Any]
"""One record as WebDataset gives it: `{"__key__": …, "msgpack": bytes}`."""

type WDSRawBatch = dict[str, Any]
"""Records as WebDataset batches them: a record of lists."""

type SampleExportRow = dict[str, Any]
"""One row of an export, by column."""

type SampleExportMap = Callable[[Any], SampleExportRow]
"""Makes a row of a sample."""
