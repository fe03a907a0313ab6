"""What a reader assumed about a file, or left out, in words."""

from __future__ import annotations


class Assumptions:
    """Collects assumptions; each kind is told once, with the facts of its first occurrence and its count."""

    def __init__(self) -> None:
        self._facts: dict[str, dict[str, object]] = {}
        self._counts: dict[str, int] = {}

    def add(self, text: str, **facts: object) -> None:
        """Notes an assumption.

        Args:
            text: in words, as a format string; `{count}` is how often it was noted.
            facts: values for the format string.
        """
        self._facts.setdefault(text, facts)
        self._counts[text] = self._counts.get(text, 0) + 1

    def __len__(self) -> int:
        return len(self._facts)

    def in_words(self) -> list[str]:
        """Returns one short text for each kind of assumption."""
        return [text.format(count=self._counts[text], **facts) for text, facts in self._facts.items()]
