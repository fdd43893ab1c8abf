"""The suite itself: every test of every part is run."""

from collections import Counter

from chatstore.testing.conformance import ConformanceSuite


def test_no_part_of_the_suite_hides_a_test_of_another() -> None:
    names = Counter(name for part in ConformanceSuite.__mro__ for name in vars(part) if name.startswith("test_"))
    assert [name for name, count in names.items() if count > 1] == []
