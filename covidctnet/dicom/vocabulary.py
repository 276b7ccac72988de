"""What a de-identified header may say, attribute by attribute."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib import resources
from typing import Any

import yaml
from pydicom.valuerep import format_number_as_ds

from covidctnet.errors import ConfigError

_ALLOWED = re.compile(r"[A-Za-z0-9 ._+/\\()-]*")
_PART = re.compile(r"[A-Za-z]+|\d+")
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,2})?")
_LONGEST_NUMBER = 64
_LONGEST_DS = 16


@dataclass(frozen=True, kw_only=True)
class Vocabulary:
    """Terms, ranges and words that are believed to say nothing of a patient.

    Attributes:
        terms: allowed values of an attribute.
        numbers: lowest and highest value of an attribute.
        decisive: attributes whose value must not be dropped, because it says what the pixels mean.
        texts: attributes that are made of `words`.
        words: in small letters.
        longest_text, most_digits, most_words: bounds of a text.
    """

    terms: Mapping[str, frozenset[str]]
    numbers: Mapping[str, tuple[float, float]]
    decisive: tuple[str, ...]
    texts: tuple[str, ...]
    words: frozenset[str]
    longest_text: int
    most_digits: int
    most_words: int

    @property
    def keywords(self) -> tuple[str, ...]:
        """Every attribute that may stay."""
        return (*self.terms, *self.numbers, *self.texts)

    def with_words(self, words: tuple[str, ...]) -> "Vocabulary":
        """This vocabulary with words that a person looked at: those of a scanner model that is new.

        Raises:
            ConfigError: a word holds anything but letters.
        """
        for word in words:
            if not re.fullmatch(r"[A-Za-z]{2,32}", word):
                raise ConfigError(f"a word of the vocabulary has 2 to 32 letters and nothing else, not {word!r}")
        return replace(self, words=self.words | {word.lower() for word in words})

    def clean(self, keyword: str, value: str) -> str | None:
        """One value of an attribute as it may stay, None where it may not."""
        value = value.strip().strip("\0").strip()
        if keyword in self.terms:
            return value.upper() if value.upper() in self.terms[keyword] else None
        if keyword in self.numbers:
            return self._clean_number(value, *self.numbers[keyword])
        return self._clean_text(value) if keyword in self.texts else None

    def _clean_number(self, value: str, low: float, high: float) -> str | None:
        if len(value) > _LONGEST_NUMBER or not value.isascii() or not _NUMBER.fullmatch(value):
            return None
        number = float(value)
        if not low <= number <= high:
            return None
        return value if len(value) <= _LONGEST_DS else format_number_as_ds(number)

    def _clean_text(self, value: str) -> str | None:
        if not value or len(value) > self.longest_text or not _ALLOWED.fullmatch(value):
            return None
        parts = _PART.findall(value)
        if not 0 < len(parts) <= self.most_words:
            return None
        return value if all(self._is_harmless(part) for part in parts) else None

    def _is_harmless(self, part: str) -> bool:
        if part.isdigit():
            return len(part) <= self.most_digits
        return len(part) == 1 or part.lower() in self.words


def load_vocabulary() -> Vocabulary:
    """The vocabulary that the package ships, `vocabulary.yaml` beside this file."""
    values: dict[str, Any] = yaml.safe_load(
        (resources.files("covidctnet.dicom") / "vocabulary.yaml").read_text("utf-8")
    )
    return Vocabulary(
        terms={keyword: frozenset(terms) for keyword, terms in values["terms"].items()},
        numbers={keyword: (float(low), float(high)) for keyword, (low, high) in values["numbers"].items()},
        decisive=tuple(values["decisive"]),
        texts=tuple(values["texts"]),
        words=frozenset(" ".join(values["words"].values()).lower().split()),
        longest_text=values["longest_text"],
        most_digits=values["most_digits"],
        most_words=values["most_words"],
    )
