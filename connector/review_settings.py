"""Settings of the review queue."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field


class ReviewSettings(BaseModel):
    """What analysts are asked about. Nothing is asked without a budget."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    budget: int = Field(0, ge=0, le=1000, description="questions within any 24 hours; 0: none")
    every: Annotated[timedelta, Field(ge=timedelta(seconds=1), le=timedelta(days=1))] = timedelta(hours=1)
    window: Annotated[timedelta, Field(ge=timedelta(hours=1), le=timedelta(days=90))] = Field(
        timedelta(days=1), description="how old a verdict may be to be asked about"
    )
