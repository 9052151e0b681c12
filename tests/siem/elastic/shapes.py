"""What the vendors document of JSON that no server here takes, as small shapes; a key that none of them knows is a mistake.

A shape is a type, a set of the values that may stand there, a pattern of a whole text, a list of one shape, a tuple of
shapes of which one must fit, or the keys of an object: ``?`` ends a key that may be missing, and ``*`` is any other key.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple


class Packed(NamedTuple):
    """JSON in a text, as saved objects hold it."""

    shape: Any


def misfits(value: Any, shape: Any, place: str = "") -> Iterator[str]:
    """What of a value does not fit, each with its place."""
    if isinstance(shape, Packed):
        yield from misfits(json.loads(value) if isinstance(value, str) else None, shape.shape, f"{place}:json")
    elif isinstance(shape, Mapping):
        yield from _keys(value, shape, place)
    elif isinstance(shape, list):
        if not isinstance(value, list):
            yield f"{place} is no list"
        else:
            for number, item in enumerate(value):
                yield from misfits(item, shape[0], f"{place}[{number}]")
    elif isinstance(shape, tuple):
        if all(any(True for _ in misfits(value, one)) for one in shape):
            yield f"{place} fits none of {len(shape)} shapes"
    elif isinstance(shape, set):
        if value not in shape:
            yield f"{place} is {value!r}, none of {sorted(map(str, shape))}"
    elif isinstance(shape, re.Pattern):
        if not isinstance(value, str) or not shape.fullmatch(value):
            yield f"{place} is {value!r}, not as {shape.pattern}"
    elif not isinstance(value, shape) or (isinstance(value, bool) and shape is not bool):
        yield f"{place} is {value!r}, no {shape.__name__}"


def _keys(value: Any, shape: Mapping[str, Any], place: str) -> Iterator[str]:
    if not isinstance(value, Mapping):
        yield f"{place} is no object"
        return
    known = {key.removesuffix("?"): inner for key, inner in shape.items() if key != "*"}
    yield from (f"{place} lacks {key}" for key in shape if not key.endswith(("?", "*")) and key not in value)
    for key, inner in value.items():
        if key in known or "*" in shape:
            yield from misfits(inner, known.get(key, shape.get("*")), f"{place}.{key}")
        else:
            yield f"{place} has the unknown key {key}"


AGE = re.compile(r"\d+(ms|s|m|h|d)")
NUMBER = (int, float)

# Elasticsearch: https://www.elastic.co/docs/reference/enrich-processor and the API's specification
# (github.com/elastic/elasticsearch-specification, ingest/_types, enrich/_types, ilm/_types)
ENRICH_POLICY = {
    "match": {"indices": (str, [str]), "match_field": str, "enrich_fields": (str, [str]), "query?": dict},
}
_EVERY: dict[str, Any] = {"tag?": str, "description?": str, "if?": str, "ignore_failure?": bool}
PROCESSOR: dict[str, Any] = {}
_EVERY["on_failure?"] = [PROCESSOR]
TEXT_CLASSIFICATION = {
    "num_top_classes?": int,
    "classification_labels?": [str],
    "results_field?": str,
    "tokenization?": dict,
}
STAMP = {"status": {"failed"}, "scope": {"fingerprint"}}
"""Ours: what the pipelines set on a failure."""

PROCESSOR |= {
    "enrich?": {
        **_EVERY, "policy_name": str, "field": str, "target_field": str, "max_matches?": int, "ignore_missing?": bool,
        "override?": bool, "shape_relation?": {"INTERSECTS", "DISJOINT", "WITHIN", "CONTAINS"},
    },
    "inference?": {
        **_EVERY, "model_id": str, "ignore_missing?": bool, "input_output": [{"input_field": str, "output_field": str}],
        "inference_config?": {"text_classification": TEXT_CLASSIFICATION},
    },
    "pipeline?": {**_EVERY, "name": str, "ignore_missing_pipeline?": bool},
    "remove?": {**_EVERY, "field": (str, [str]), "ignore_missing?": bool},
    "script?": {**_EVERY, "lang?": str, "source": str, "params?": dict},
    "set?": {**_EVERY, "field": str, "value": (str, STAMP), "override?": bool, "ignore_empty_value?": bool, "media_type?": str},
}  # fmt: skip
PIPELINE = {"description?": str, "processors": [PROCESSOR], "on_failure?": [PROCESSOR], "version?": int, "_meta?": dict}

_PRIORITY, _MERGE = {"priority": int}, {"max_num_segments": int, "index_codec?": {"best_compression"}}
ILM_POLICY = {
    "policy": {
        "_meta?": dict,
        "phases": {
            "hot?": {"min_age?": AGE, "actions": {"set_priority?": _PRIORITY, "readonly?": {}}},
            "warm?": {
                "min_age?": AGE,
                "actions": {
                    "set_priority?": _PRIORITY,
                    "forcemerge?": _MERGE,
                    "readonly?": {},
                    "migrate?": {"enabled?": bool},
                },
            },
            "delete?": {"min_age?": AGE, "actions": {"delete?": {"delete_searchable_snapshot?": bool}}},
        },
    }
}

# OpenSearch: https://docs.opensearch.org/latest/im-plugin/ism/policies/ (fields, operations, transitions)
_ISM_ACTION = {
    "force_merge?": {"max_num_segments": int}, "delete?": {}, "read_only?": {}, "index_priority?": {"priority": int},
    "timeout?": AGE, "retry?": {"count": int, "backoff?": str, "delay?": AGE},
}  # fmt: skip
_CONDITIONS = {"min_index_age?": AGE, "min_rollover_age?": AGE, "min_doc_count?": int, "min_size?": str, "cron?": dict}
ISM_POLICY = {
    "policy": {
        "description": str,
        "default_state": str,
        "states": [
            {
                "name": str,
                "actions": [_ISM_ACTION],
                "transitions": [{"state_name": str, "conditions?": _CONDITIONS}],
            }
        ],
        "ism_template?": [{"index_patterns": [str], "priority?": int}],
        "error_notification?": dict,
    }
}
