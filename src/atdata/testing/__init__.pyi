"""The public names as type checkers see them."""

from atdata.testing.made import make_samples as make_samples
from atdata.testing.strategies import samples as samples
from atdata.testing.strategies import values as values
