"""Words, cursors and keys, for any text."""

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from atdata.model.record import SearchText
from atdata.providers._changes import with_nul, without_nul
from atdata.providers._terms import Tier, read_cursor, term_line, terms, tiers, write_cursor

TEXTS = st.text(max_size=30)
NEAR_NUL = st.text(alphabet="\0\1\2ab", max_size=8)


@given(name=TEXTS, description=TEXTS)
@settings(deadline=None)
def test_a_text_is_found_by_any_of_its_words(name: str, description: str) -> None:
    """Whatever the script: what a row was stored with finds it."""
    line = term_line(SearchText.of(name=name, description=description))

    for text in (name, description):
        for tier in tiers(text)[-1:]:
            assert not tier.words or tier.accepts("another", line) or better(tier, line)


def better(tier: Tier, line: str) -> bool:
    """Whether a row is in a tier above."""
    above = (replace(tier, level=level) for level in range(1, tier.level))
    return any(one.accepts("another", line) for one in above)


@given(name=TEXTS, tags=TEXTS)
@settings(deadline=None)
def test_a_term_is_a_level_letters_and_digits(name: str, tags: str) -> None:
    """Nothing in it means something to a query language, and no row has it twice."""
    found = terms(SearchText(name, tags))

    assert len(set(found)) == len(found)
    assert all(term[0] in "123" and term[1:].isalnum() for term in found)


@given(level=st.integers(0, 3), doc=st.integers(0, 2**63), text=TEXTS, refs=st.lists(TEXTS))
@settings(deadline=None)
def test_a_cursor_is_read_as_it_was_written(
    level: int, doc: int, text: str, refs: list[str]
) -> None:
    """The order of refs does not matter."""
    cursor = write_cursor(level, doc, text, refs)

    assert read_cursor(cursor, text, refs[::-1]) == (level, doc)


@given(a=NEAR_NUL | TEXTS, b=NEAR_NUL | TEXTS)
@settings(deadline=None)
def test_a_name_without_nul_keeps_its_order(a: str, b: str) -> None:
    """What is stored has no NUL, is read back, and sorts as the name does."""
    assert with_nul(without_nul(a)) == a
    assert "\0" not in without_nul(a)
    assert (without_nul(a) < without_nul(b)) == (a < b)
