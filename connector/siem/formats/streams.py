"""Byte streams over untrusted input: unpacked in bounded pieces, metered, with every failure told as one error."""

from __future__ import annotations

import bz2
import codecs
import io
import lzma
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Callable
from typing import TYPE_CHECKING, BinaryIO, Protocol, cast

from connector.errors import PermanentError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

PIECE = 1 << 17
"""Bytes that are read at once."""

_SMALL = 1 << 14
"""Bytes asked of a decoder at once: what a failure inside such a piece can cost."""

_IN_MEMORY = 1 << 25
"""Larger members that need seeking go to an anonymous temporary file."""

_XZ_MEMORY = 1 << 28
"""An xz stream that asks for a larger dictionary is refused."""


FAILURES = (
    OSError,
    EOFError,
    RuntimeError,
    ValueError,
    struct.error,
    zlib.error,
    lzma.LZMAError,
    zipfile.BadZipFile,
)
"""What the standard library raises over damaged archives and compressed data; found by feeding it damaged ones."""


class DamagedError(PermanentError):
    """The container cannot be read further. ``told``: a record already carries this failure."""

    told = False


class SpentError(DamagedError):
    """The file unpacks to more bytes than are allowed: nothing more of it is read."""


class Budget:
    """How many unpacked bytes one file on disk may still give, over all its layers and members."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._left = limit

    def spend(self, count: int) -> None:
        """Takes bytes from the budget; ``SpentError`` once it is used up."""
        self._left -= count
        if self._left < 0:
            raise SpentError(f"unpacks to more than {self.limit} bytes; the rest is not read")


class Guarded(io.RawIOBase):
    """A raw stream over a ``read`` function: metered, its failures mapped to ``DamagedError``.

    What was read before a failure is handed out first; the failure is raised by the read after, and by every later one.
    """

    def __init__(self, read: Callable[[int], bytes], budget: Budget) -> None:
        super().__init__()
        self._read = read
        self._budget = budget
        self._failure: DamagedError | None = None

    def readable(self) -> bool:
        """True."""
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        """Fills the buffer, short only at the end or before a failure."""
        view = memoryview(buffer).cast("B")
        filled = 0
        while filled < len(view) and self._failure is None:
            try:
                piece = self._read(min(len(view) - filled, _SMALL))
                self._budget.spend(len(piece))
            except DamagedError as error:
                self._failure = error
            except FAILURES as error:
                self._failure = DamagedError(f"damaged: {error}")
            else:
                if not piece:
                    break
                view[filled : filled + len(piece)] = piece
                filled += len(piece)
        if self._failure is not None and not filled:
            raise self._failure
        return filled


def opened(path: str) -> io.BufferedReader:
    """A file, read in pieces of :data:`PIECE`."""
    return io.BufferedReader(io.FileIO(path), PIECE)


def buffered(read: Callable[[int], bytes], budget: Budget) -> io.BufferedReader:
    """A guarded, buffered stream whose ``peek`` shows :data:`PIECE` bytes."""
    return io.BufferedReader(Guarded(read, budget), PIECE)


class _Decoder(Protocol):
    """What ``bz2`` and ``lzma`` decoders have in common."""

    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int = -1) -> bytes: ...


class _Gunzip:
    """zlib in the shape of the other decoders. Bytes before a defect are given out: a checksum fails after its data."""

    def __init__(self) -> None:
        self._zlib = zlib.decompressobj(wbits=31)
        self._defect: zlib.error | None = None

    @property
    def eof(self) -> bool:
        return self._zlib.eof

    @property
    def needs_input(self) -> bool:
        return not self._zlib.unconsumed_tail and self._defect is None

    @property
    def unused_data(self) -> bytes:
        return self._zlib.unused_data

    def decompress(self, data: bytes, max_length: int = -1) -> bytes:
        if self._defect is not None:
            raise self._defect
        data = self._zlib.unconsumed_tail + data
        before = self._zlib.copy()
        try:
            return self._zlib.decompress(data, max_length)
        except zlib.error as defect:
            self._defect = defect
            return _up_to_defect(before, data)


def _up_to_defect(decoder: zlib._Decompress, data: bytes) -> bytes:
    """What the bytes before the defect unpack to, found by feeding them singly."""
    sound = bytearray()
    try:
        for index in range(len(data)):
            sound += decoder.decompress(data[index : index + 1])
    except zlib.error:
        pass  # the caller keeps the defect and raises it next
    return bytes(sound)


_DECODERS: dict[str, tuple[bytes, Callable[[], _Decoder]]] = {
    "gzip": (b"\x1f\x8b", _Gunzip),
    "bzip2": (b"BZh", bz2.BZ2Decompressor),
    "xz": (b"\xfd7zXZ\x00", lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_XZ_MEMORY)),
}


class _Unpacked:
    """The ``read`` function of a compressed stream, all its members one after the other."""

    def __init__(self, packed: BinaryIO, codec: str) -> None:
        self._packed = packed
        self._codec = codec
        self._magic, self._make = _DECODERS[codec]
        self._decoder = self._make()
        self._pending = b""

    def read(self, size: int) -> bytes:
        while True:
            if self._decoder.eof and not self._next_member():
                return b""
            if not self._pending and self._decoder.needs_input:
                self._pending = self._packed.read(PIECE)
                if not self._pending:
                    return self._last(size)
            piece = self._decoder.decompress(self._pending, size)
            self._pending = b""
            if piece:
                return piece

    def _last(self, size: int) -> bytes:
        piece = self._decoder.decompress(b"", size)
        if not piece and not self._decoder.eof:
            raise DamagedError(f"ends in the middle of its {self._codec} data")
        return piece

    def _next_member(self) -> bool:
        rest = self._decoder.unused_data
        while not (rest := rest.lstrip(b"\x00")):
            if not (rest := self._packed.read(PIECE)):
                return False
        if len(rest) < len(self._magic):
            rest += self._packed.read(PIECE)
        if not rest.startswith(self._magic):
            raise DamagedError(f"has other bytes behind its {self._codec} data")
        self._decoder = self._make()
        self._pending = rest
        return True


def unpacked(packed: BinaryIO, codec: str, budget: Budget) -> io.BufferedReader:
    """The plain bytes of a ``gzip``, ``bzip2`` or ``xz`` stream."""
    return buffered(_Unpacked(packed, codec).read, budget)


def transcoded(stream: BinaryIO, encoding: str, budget: Budget) -> io.BufferedReader:
    """A UTF-16 stream as UTF-8; what is not text becomes U+FFFD."""
    decoder = codecs.getincrementaldecoder(encoding)("replace")
    ready = b""

    def read(size: int) -> bytes:
        nonlocal ready
        while not ready:  # two bytes may become three, so what is ready may be more than was asked for
            data = stream.read(size)
            ready = decoder.decode(data, final=not data).encode()
            if not data and not ready:
                return b""
        piece, ready = ready[:size], ready[size:]
        return piece

    return buffered(read, budget)


def seekable(stream: BinaryIO) -> BinaryIO:
    """The same bytes, seekable: the file itself, or a copy in memory (a large one: in an unnamed temporary file)."""
    if stream.seekable():
        return stream
    copy = tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY)  # noqa: SIM115 - closed with the reader that asked
    while piece := stream.read(PIECE):
        copy.write(piece)
    copy.seek(0)
    return cast("BinaryIO", copy)
