"""Counts words."""

from collections import Counter


def top(text: str, count: int) -> list[tuple[str, int]]:
    """The most frequent words, ties in alphabetical order."""
    words = Counter(text.lower().split())
    return sorted(words.items(), key=lambda item: (-item[1], item[0]))[:count]
