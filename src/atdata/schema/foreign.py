"""What stands in an annotation for values of a library that need not be installed."""


class Foreign:
    """A value that an array format reads and writes: a table, a sparse array, a tensor.

    It is written `Annotated[Foreign, Format("dataframe")]` in types that are made of a schema. The
    format says what the values are. To type checkers it is `Any`.
    """
