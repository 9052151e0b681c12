"""Answers read as their vendor documents them, or not at all."""

from __future__ import annotations

from typing import Any, Final, Generic, TypeVar

import msgspec

from connector.errors import TransientError
from connector.soar.rest import whole

T = TypeVar("T")


class Reader(Generic[T]):
    """Reads answers of one shape. Made while a module is imported: no two threads may decode a type for the first time."""

    def __init__(self, shape: Any) -> None:
        self._decoder: Final[msgspec.json.Decoder[T]] = msgspec.json.Decoder(shape)

    def __call__(self, text: bytes, what: str) -> T:
        """The answer. Raises ``TransientError``, ``sent``, for one of another shape: whether it was done is not known.

        The same for one that was cut off because of its length.
        """
        whole(text, what)
        try:
            return self._decoder.decode(text)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
            raise TransientError(f"{what}: not an answer as it is documented: {error}", sent=True) from error
