"""What every table of settings is made of."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

_LONGEST = timedelta(days=36_500)
Stretch = Annotated[timedelta, Field(ge=timedelta(0), le=_LONGEST)]
"""A stretch of time that may be nothing."""
Every = Annotated[timedelta, Field(ge=timedelta(milliseconds=10), le=_LONGEST)]
"""How often a job runs; shorter than this it would only spin."""
Lease = Annotated[timedelta, Field(ge=timedelta(seconds=1), le=timedelta(days=1))]
"""How long a claim holds: longer than a stalled thread, shorter than a dead process may be waited for."""
Kept = Annotated[timedelta, Field(ge=timedelta(hours=1), le=_LONGEST)]
"""How long something is kept."""


class Section(BaseModel):
    """A frozen table of settings that refuses unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)
