"""Programs that write logs, and those that rotate them, as hostile to a reader as real ones."""

from __future__ import annotations

import gzip
import itertools
import os
import shutil
from pathlib import Path


class Log:
    """A growing log in a folder. Lines carry numbers that are never used twice; ``written`` are those that are whole."""

    def __init__(self, folder: Path, name: str, numbers: itertools.count[int], opening: bytes) -> None:
        self.path = folder / name
        self.rotated: list[Path] = []
        self.written: set[int] = set()
        self.openings = 0
        self._numbers = numbers
        self._opening = opening
        self._held = b""
        self._pending: list[int] = []
        self._rotations = itertools.count(1)
        self._start()

    def append(self, count: int, hold: int) -> None:
        """Writes lines, but for the last ``hold`` bytes: those come with the next write, be they half a character."""
        data = self._held
        for number in itertools.islice(self._numbers, count):
            self._pending.append(number)
            data += self.line(number)
        cut = max(0, len(data) - hold)
        with self.path.open("ab") as file:
            file.write(data[:cut])
        self._held = data[cut:]
        if not self._held:
            self.written.update(self._pending)
            self._pending.clear()

    def line(self, number: int) -> bytes:
        return b'{"n": %d, "text": "caf\xc3\xa9 \xf0\x9f\x94\x92 %s"}\n' % (number, b"x" * (number % 37))

    def flush(self) -> None:
        self.append(0, 0)

    def rename(self) -> None:
        """The writer does not notice at once, and writes to the renamed file what it still holds."""
        old = self._next_name()
        self.path.rename(old)
        here, self.path = self.path, old
        self.flush()
        self.path = here
        self._start()

    def copy(self) -> None:
        self.flush()
        shutil.copyfile(self.path, self._next_name())

    def truncate(self) -> None:
        os.truncate(self.path, 0)
        self._start()

    def recreate(self) -> None:
        self.flush()
        self.path.unlink()
        self._start()

    def compress(self, index: int) -> None:
        """Packs a rotated file beside itself, then removes it."""
        if not self.rotated:
            return
        plain = self.rotated.pop(index % len(self.rotated))
        packed = plain.with_name(f"{plain.name}.gz")
        packed.write_bytes(gzip.compress(plain.read_bytes()))
        os.utime(packed, (1e9, 1e9 + next(self._rotations)))
        plain.unlink()

    def _next_name(self) -> Path:
        self.rotated.append(self.path.with_name(f"{self.path.name}.{next(self._rotations)}"))
        return self.rotated[-1]

    def _start(self) -> None:
        self.openings += 1
        with self.path.open("ab") as file:
            file.write(self._opening)


class Table(Log):
    """A log with a header, whose rows go over several lines."""

    def line(self, number: int) -> bytes:
        return b'%d,"caf\xc3\xa9, ""quoted""\r\n%s"\r\n' % (number, b"x" * (number % 37))
