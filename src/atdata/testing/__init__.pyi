"""The public names as type checkers see them."""

from atdata.testing.catalogue import make_dataset as make_dataset
from atdata.testing.catalogue import mock_index as mock_index
from atdata.testing.catalogue import tmp_dataset as tmp_dataset
from atdata.testing.catalogue import tmp_index as tmp_index
from atdata.testing.made import make_samples as make_samples
from atdata.testing.providers import ProviderSuite as ProviderSuite
from atdata.testing.stores import DataStoreSuite as DataStoreSuite
from atdata.testing.strategies import samples as samples
from atdata.testing.strategies import values as values
