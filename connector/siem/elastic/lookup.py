"""Publishes what the text model says of a fingerprint, so that the ingest pipeline can stamp recurring events by itself.

Every entry becomes a document of the look-up index, one a fingerprint. From there it reaches the pipeline in one of two
ways: an *enrich policy* over that index is executed again, or the *table* in the pipeline's own script params is replaced
by the entries of the most frequent fingerprints. Both are replaced only as often as ``every`` says, the table only when
it would answer for enough more of the events. Publishing fails open: what stood on the server stays.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal

from pydantic import Field

from connector.errors import ConfigError, TransientError
from connector.policy.document import threat_of
from connector.ports import Clock
from connector.settings import Every, Section
from connector.siem.elastic import assets
from connector.siem.elastic.installer import Reply, Server, lookup_script
from connector.siem.elastic.outcomes import delivery_of
from connector.siem.elastic.table import Known, chosen, gained
from connector.telemetry import Signal, emit
from connector.types import Delivery, Json, LookupEntry, ModelRef, TechniqueScore

_MICROSECOND: Final = timedelta(microseconds=1)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class LookupSettings(Section):
    """How fingerprints are published for the ingest pipeline."""

    mode: Literal["off", "table", "enrich"] = Field(
        "off", description="table: in the pipeline's script params; enrich: by an enrich policy (Elasticsearch)"
    )
    every: Every = Field(timedelta(minutes=5), description="how often to look whether to publish anew")
    entries: int = Field(2000, ge=1, le=50_000, description="fingerprints in the table at most")
    bytes: int = Field(512 * 1024, ge=1024, le=8 * 1024 * 1024, description="size of the table at most")
    changed: float = Field(
        0.02, ge=0, le=1, description="share of recent events that a new table must answer for beyond the old one"
    )


class Lookup:
    """The look-up of one server. The writer hands it the entries, and gives it a turn after each call of its own."""

    def __init__(
        self,
        name: str,
        server: Server,
        *,
        flavour: assets.Flavour,
        prefix: str,
        settings: LookupSettings,
        clock: Clock,
    ) -> None:
        self._name = name
        self._server = server
        self._flavour = flavour
        self._verdicts = f"{prefix}-verdicts"
        self._settings = settings
        self._clock = clock
        self._due = clock()
        self._model: ModelRef | None = None
        self._stale = False

    def write(self, entries: Sequence[LookupEntry]) -> list[Delivery]:
        """Puts entries into the look-up index: one document a fingerprint, of which the one that lasts longest stays.

        One outcome an entry, in order. Where the whole call fails the entries wait, and nothing is raised: an entry
        must never keep a verdict from being delivered.
        """
        if not entries:
            return []
        lines: list[Json] = []
        for entry in entries:
            version = (entry.expires_at - _EPOCH) // _MICROSECOND
            action = {"_id": entry.fingerprint, "version": version, "version_type": "external_gte"}
            lines += [{"index": action}, known(entry)]
        try:
            reply = self._asked("POST", f"/{assets.LOOKUP_INDEX}/_bulk", lines)
        except (TransientError, ConfigError) as error:
            emit(Signal.LOOKUP_FAILED, self._name, reason=str(error))
            return [Delivery(outcome="retry", reason=str(error))] * len(entries)
        self._model = entries[-1].model
        self._stale = True
        return [delivery_of(item["index"]) for item in reply["items"]]

    def publish(self) -> bool:
        """Replaces what the pipeline looks up in, where it is time and worth it; whether it did."""
        now = self._clock()
        if self._settings.mode == "off" or now < self._due:
            return False
        self._due = now + self._settings.every
        try:
            published = self._table(now) if self._settings.mode == "table" else self._executed()
        except (TransientError, ConfigError) as error:
            emit(Signal.LOOKUP_FAILED, self._name, reason=str(error))
            return False
        if published:
            emit(Signal.LOOKUP_PUBLISHED, self._name, mode=self._settings.mode)
        return published

    def _table(self, now: datetime) -> bool:
        """The table of the most frequent fingerprints, if it gains enough over the one that stands there."""
        counts = self._frequent(now)
        found = self._known([fingerprint for fingerprint, _ in counts])
        script = self._script()
        model = self._current(found, script)
        if model is None:
            return False
        wanted = chosen(counts, found, model, now, most=self._settings.entries, size=self._settings.bytes)
        standing = script["params"] if script["params"].get("model") == model else {}
        if not gained(counts, wanted, standing.get("entries") or {}, now, self._settings.changed):
            return False
        self._put({"model": model, "entries": wanted})
        return True

    def _executed(self) -> bool:
        """Makes the enrich index anew where entries came, and tells the pipeline which model counts."""
        if self._model is None or not self._stale:
            return False
        model = _model(self._model)
        self._asked("POST", f"/_enrich/policy/{assets.ENRICH_POLICY}/_execute?wait_for_completion=false")
        if self._script()["params"].get("model") != model:
            self._put({"model": model})
        self._stale = False
        return True

    def _frequent(self, now: datetime) -> list[tuple[str, int]]:
        """The fingerprints of this month's and the last month's verdicts, the most frequent first."""
        last = now.replace(day=1) - timedelta(days=1)
        indices = ",".join(f"{self._verdicts}-{month:%Y.%m}" for month in (now, last))
        terms = {"field": "triaged.fingerprint", "size": self._settings.entries}
        query = {"size": 0, "track_total_hits": False, "aggs": {"frequent": {"terms": terms}}}
        reply = self._asked("POST", f"/{indices}/_search?ignore_unavailable=true&allow_no_indices=true", query)
        rows = reply.get("aggregations", {}).get("frequent", {}).get("buckets", [])
        return [(row["key"], row["doc_count"]) for row in rows]

    def _known(self, fingerprints: Sequence[str]) -> dict[str, Known]:
        if not fingerprints:
            return {}
        reply = self._asked("POST", f"/{assets.LOOKUP_INDEX}/_mget", {"ids": list(fingerprints)})
        return {row["_id"]: row["_source"] for row in reply["docs"] if row.get("found")}

    def _current(self, found: Mapping[str, Known], script: Mapping[str, Any]) -> dict[str, str] | None:
        """The model that counts: the one that scores now; after a start, the one that stands there, or the newest."""
        if self._model is not None:
            return _model(self._model)
        if script["params"].get("model"):
            return dict(script["params"]["model"])
        newest = max(found.values(), key=lambda entry: str(entry["expires_at"]), default=None)
        return None if newest is None else dict(newest["model"])

    def _script(self) -> dict[str, Any]:
        """The script of the deployed look-up pipeline. Raises ``ConfigError`` where none is installed."""
        path = f"/_ingest/pipeline/{assets.LOOKUP_PIPELINE}"
        reply = self._server.request("GET", path)
        script = None if reply.status == 404 else lookup_script(_checked(reply, path).get(assets.LOOKUP_PIPELINE))
        if script is None:
            raise ConfigError("no look-up pipeline is installed: run `triaged elastic install`")
        return script

    def _put(self, params: Mapping[str, Json]) -> None:
        """Replaces the pipeline, with the kill switch as it stands."""
        enabled = self._script()["params"].get("enabled") is True
        mode = "table" if self._settings.mode == "table" else "enrich"
        made = assets.pipeline(self._flavour, assets.LOOKUP_PIPELINE, f"triaged-lookup-{mode}", enabled=enabled)
        script = lookup_script(made.body)
        if script is not None:
            script["params"].update(params)
        self._asked("PUT", made.path, made.body)

    def _asked(self, method: str, path: str, body: Json = None) -> Json:
        return _checked(self._server.request(method, path, body), path)


def known(entry: LookupEntry) -> dict[str, Json]:
    """The document of an entry. ``threat`` stands in it only where a verdict would have it."""
    found: dict[str, Json] = {
        "fingerprint": entry.fingerprint,
        "kind": entry.kind,
        "canonical_version": entry.canonical_version,
        "model": _model(entry.model),
        "verdict": entry.verdict,
        "confidence": entry.p_malicious,
        "techniques": [_score(score) for score in entry.techniques],
        "expires_at": entry.expires_at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "record_id": entry.record_id,
        "origin": entry.origin,
    }
    if entry.verdict in {"malicious", "suspicious"} and (threat := threat_of(entry.passed)):
        found["threat"] = threat
    return found


def _score(score: TechniqueScore) -> dict[str, Json]:
    sub = score.subtechnique
    below = None if sub is None else {"id": sub.id, "probability": sub.probability}
    return {"id": score.id, "probability": score.probability, "subtechnique": below}


def _model(model: ModelRef) -> dict[str, str]:
    return {"name": model.name, "version": model.version, "attack_version": model.attack_version}


def _checked(reply: Reply, path: str) -> Json:
    if reply.status >= 300:
        reason = json.dumps(reply.body)[:500]
        raise ConfigError(f"{path}: the server answered {reply.status}: {reason}")
    return reply.body
