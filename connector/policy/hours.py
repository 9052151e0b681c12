"""Hours: when a rule is in force, by weekday and time of day in one time zone."""

from __future__ import annotations

from datetime import UTC, datetime, tzinfo
from typing import Final, Literal, TypeAlias
from zoneinfo import ZoneInfo, available_timezones

import msgspec
from pydantic import Field, field_validator, model_validator

from connector.settings import Section

Day: TypeAlias = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]

DAYS: Final[tuple[Day, ...]] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
A_DAY: Final = 24 * 60


class HoursTable(Section):
    """One stretch of each of some days; one that ends before it begins ends on the next day."""

    days: tuple[Day, ...] = Field(DAYS, min_length=1)
    start: str = Field("00:00", alias="from", pattern=r"^([01]\d|2[0-3]):[0-5]\d$")
    stop: str = Field("24:00", alias="to", pattern=r"^(([01]\d|2[0-3]):[0-5]\d|24:00)$")
    zone: str = "UTC"

    @field_validator("zone")
    @classmethod
    def _zone_exists(cls, zone: str) -> str:
        if zone != "UTC" and zone not in available_timezones():
            raise ValueError(f"no time zone {zone!r}; zones are named as in the IANA database: Europe/Berlin")
        return zone

    @model_validator(mode="after")
    def _lasts(self) -> HoursTable:
        if self.start == self.stop:
            raise ValueError("from and to are the same; leave both out for the whole day")
        return self


class Hours(msgspec.Struct, frozen=True, kw_only=True):
    """A stretch of each of some days, ready to be asked: weekdays from 0 (Monday), minutes since midnight."""

    days: frozenset[int]
    start: int
    stop: int
    zone: tzinfo

    @classmethod
    def of(cls, table: HoursTable) -> Hours:
        """The stretch that a table describes."""
        days = frozenset(map(DAYS.index, table.days))
        zone = UTC if table.zone == "UTC" else ZoneInfo(table.zone)  # UTC needs no database of zones
        return cls(days=days, start=_minute(table.start), stop=_minute(table.stop), zone=zone)

    def holds(self, moment: datetime) -> bool:
        """Whether a moment lies in it. What goes past midnight belongs to the day on which it began."""
        local = moment.astimezone(self.zone)
        minute, day = local.hour * 60 + local.minute, local.weekday()
        if self.start < self.stop:
            return self.start <= minute < self.stop and day in self.days
        if minute >= self.start:
            return day in self.days
        return minute < self.stop and (day - 1) % 7 in self.days

    def covers(self, other: Hours) -> bool:
        """Whether it holds whenever the other does, as far as one stretch of the same days and zone shows it."""
        if self.zone != other.zone or not other.days <= self.days:
            return False
        return self.start <= other.start and other._end() <= self._end()

    def _end(self) -> int:
        """Minutes after the midnight before the stretch began."""
        return self.stop if self.start < self.stop else self.stop + A_DAY


def _minute(text: str) -> int:
    hours, minutes = text.split(":")
    return int(hours) * 60 + int(minutes)
