"""`load_dataset`: from a place, as people write it, to datasets by split."""

from atdata.load._dict import DatasetDict as DatasetDict
from atdata.load._load import load_dataset as load_dataset
