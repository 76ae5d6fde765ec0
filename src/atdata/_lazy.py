"""Modules and names that are loaded when first used, so that `import atdata` stays light."""

from importlib import import_module
from types import ModuleType

from atdata._exceptions import MissingExtraError


def require(module: str, *, extra: str) -> ModuleType:
    """Import an optional library, or say which extra brings it.

    Args:
        module: The module to import, such as `"pyarrow.parquet"`.
        extra: The extra of atdata that installs it.

    Returns:
        The imported module.

    Raises:
        MissingExtraError: The library is not installed.

    Examples:
        >>> require("json", extra="arrow").dumps([1])
        '[1]'
    """
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing and missing != module.partition(".")[0]:
            raise  # the library is there, and one of its own needs is not
        raise MissingExtraError(module, extra) from error
