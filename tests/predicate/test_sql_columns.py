"""What `Dataset.sql` sees of integers that no column of 64 bits holds."""

from decimal import Decimal
from pathlib import Path

import pyarrow as pa

import atdata


def test_integers_of_any_size_are_integers_in_sql(tmp_path: Path) -> None:
    """They are HUGEINT there, in lists too, and come back as decimals without a fraction."""

    @atdata.packable
    class Wide:
        n: int
        v: list[int]

    samples = [Wide(2**64 - 1, [2**64 - 1, -1]), Wide(-1, []), Wide(2, [3])]
    ds = atdata.write_samples(samples, tmp_path / "wide.tar", manifest=True)

    kinds = ds.sql("select distinct typeof(n) as n, typeof(v) as v from this").to_pylist()
    found = ds.sql("select n, v, n * n as square from this where list_contains(v, 3)")
    total = ds.sql("select sum(n) as n from this").to_pylist()

    assert kinds == [{"n": "HUGEINT", "v": "HUGEINT[]"}]
    assert found.schema.field("n").type == pa.decimal128(38, 0)
    assert found.schema.field("v").type.value_type == pa.decimal128(38, 0)
    assert found.to_pylist() == [{"n": Decimal(2), "v": [Decimal(3)], "square": Decimal(4)}]
    assert total == [{"n": Decimal(2**64)}]
    assert ds.sql("select __key__ as k from this where n = 18446744073709551615").to_pydict() == {
        "k": ["000000000"]
    }
