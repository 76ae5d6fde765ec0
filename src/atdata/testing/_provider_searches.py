"""What a provider finds, in which order, page by page."""

from collections.abc import Sequence

import pytest

from atdata.model.record import (
    LABEL,
    PENDING,
    Delete,
    Put,
    Row,
    SearchText,
)
from atdata.providers import IndexProvider


class SearchTests:
    """A search finds what all its words and refs fit, the best and newest first."""

    def test_a_search_ranks_by_where_words_stand(self, provider: IndexProvider) -> None:
        """The very name, words in the name, in tags and fields, anywhere; new before old."""
        texts = {
            "somewhere": SearchText("somewhere", "", "", "of galaxy images"),
            "tagged": SearchText("tagged", "galaxy sky", "", "galaxy"),
            "with-fields": SearchText("with fields", "", "galaxy image", ""),
            "old-galaxy": SearchText("old galaxy", "galaxy", "galaxy", "galaxy"),
            "galaxy": SearchText("galaxy", "", "", ""),
            "galaxy-new": SearchText("galaxy new", "", "", ""),
            "other": SearchText("other", "star", "", "no such word"),
        }
        for name, text in texts.items():
            provider.commit([Put(Row(LABEL, name, "", "{}", (), text))])
        provider.commit([Put(Row(LABEL, "unsearched", "", "{}", ("galaxy",)))])

        assert _found(provider, "galaxy") == [
            ("galaxy", 1.0),
            ("galaxy-new", 0.8),
            ("old-galaxy", 0.8),
            ("with-fields", 0.5),
            ("tagged", 0.5),
            ("somewhere", 0.25),
        ]
        assert _found(provider, "GALA ima") == [("with-fields", 0.5), ("somewhere", 0.25)]
        assert _found(provider, "galaxy nothing") == []
        assert [name for name, _ in _found(provider, "")] == list(reversed(texts))
        assert _found(provider, "!?") == []

    def test_words_are_found_by_their_beginnings(self, provider: IndexProvider) -> None:
        """In any script, without case, and never inside a word."""
        words = SearchText.of(
            name="x", description="Ελληνικά ДАННЫЕ 数据集 naïve 𠮷野家 Straße v2.10"
        )
        provider.commit([Put(Row(LABEL, "x", "", "{}", (), words))])

        for text in ("ελλην", "данные", "数据", "NAÏ", "𠮷野", "STRASSE", "v2 10", "V2.10"):
            assert len(provider.search(text).hits) == 1, text
        for text in ("ληνικα", "据集", "aïve", "0", "x y"):
            assert provider.search(text).hits == [], text

    def test_pages_of_a_search_are_disjoint_while_rows_are_added(
        self, provider: IndexProvider
    ) -> None:
        """Each row that was there comes once, in the order of one large page."""
        provider.commit(
            [
                Put(Row(LABEL, f"n{i}", "", "{}", ("even",) if i % 2 == 0 else (), text))
                for i in range(30)
                for text in [SearchText(f"common n{i}" if i % 3 else "", "", "", "common all")]
            ]
        )
        for text, refs in (("common", []), ("common all", ["even"]), ("", ["even"]), ("", [])):
            whole = [hit.row.name for hit in provider.search(text, refs=refs, limit=100).hits]
            seen: list[str] = []
            cursor: str | None = None
            for _ in range(100):
                page = provider.search(text, refs=refs, limit=4, cursor=cursor)
                seen += [hit.row.name for hit in page.hits]
                cursor = page.cursor
                if cursor is None:
                    break
                added = Row(
                    PENDING, f"added{len(seen)}", "", "{}", ("even",), SearchText("common all")
                )
                provider.commit([Put(added)])
            assert seen == whole
            assert len(whole) == len(set(whole)) >= 15
            provider.commit([Delete(row.key) for row in provider.rows(PENDING)])

    def test_a_search_keeps_to_its_refs(self, provider: IndexProvider) -> None:
        """A hit has all refs that are asked for."""
        refs = {"a": ("x",), "b": ("x", "y"), "c": ("y",), "d": ()}
        provider.commit(
            [Put(Row(LABEL, n, "", "{}", r, SearchText(n, "word"))) for n, r in refs.items()]
        )

        for text in ("", "word"):
            assert {name for name, _ in _found(provider, text, ["x"])} == {"a", "b"}
            assert {name for name, _ in _found(provider, text, ["x", "y", "x"])} == {"b"}
            assert _found(provider, text, ["z"]) == []
        assert _found(provider, "a", ["y"]) == []

    def test_a_common_and_a_rare_word_are_found_among_thousands(
        self, provider: IndexProvider
    ) -> None:
        """What stands far behind the newest rows is found, by words, beginnings and refs."""
        provider.commit(
            [
                Put(
                    Row(
                        LABEL,
                        f"n{i}",
                        "",
                        "{}",
                        ("all", f"r{i % 1000}"),
                        SearchText(f"n{i}", "old" if i < 10 else "new", "", f"common {i % 7}"),
                    )
                )
                for i in range(5000)
            ]
        )

        assert [name for name, _ in _found(provider, "old")] == [f"n{i}" for i in range(9, -1, -1)]
        assert [name for name, _ in _found(provider, "common old", ["all"])] == [
            f"n{i}" for i in range(9, -1, -1)
        ]
        assert [name for name, _ in _found(provider, "common", ["r7"])][-1] == "n7"
        assert [name for name, _ in _found(provider, "old", ["r7"])] == ["n7"]
        assert _found(provider, "n4999") == [("n4999", 1.0)]
        assert _found(provider, "n499")[0] == ("n499", 1.0)
        assert len(_found(provider, "n499")) == 11
        assert len(_found(provider, "old n")) == 10
        assert _found(provider, "old new") == []

    def test_a_bad_search_is_refused(self, provider: IndexProvider) -> None:
        """No rows, too many words, and cursors that are none or another search's."""
        provider.commit([Put(Row(LABEL, n, "", "{}", (), SearchText("word"))) for n in "abc"])
        cursor = provider.search("word", limit=1).cursor
        assert cursor is not None

        for bad in (
            "",
            "x",
            "=",
            "é",
            cursor[:-1],
            cursor + "A",
            "A" * len(cursor),
            "\0" * 10_000,
        ):
            with pytest.raises(ValueError, match="cursor"):
                provider.search("word", cursor=bad)
        with pytest.raises(ValueError, match="cursor"):
            provider.search("other", cursor=cursor)
        with pytest.raises(ValueError, match="limit"):
            provider.search("word", limit=0)
        with pytest.raises(ValueError, match="32"):
            provider.search(" ".join(map(str, range(100))))

    def test_a_text_of_any_length_can_be_stored(self, provider: IndexProvider) -> None:
        """What is too long is found by its beginning."""
        text = SearchText("x", "", "w" * 5000, " ".join(f"word{i}" for i in range(50_000)))
        provider.commit([Put(Row(LABEL, "x", "", "{}", (), text))])

        assert len(_found(provider, "w" * 5000)) == len(_found(provider, "word1 word77")) == 1
        found = provider.get(LABEL, "x")
        assert found is not None
        assert found.text == text


def _found(
    provider: IndexProvider, text: str, refs: Sequence[str] = ()
) -> list[tuple[str, float]]:
    return [(hit.row.name, hit.score) for hit in provider.search(text, refs=refs).hits]
