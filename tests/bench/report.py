"""The table for people and the JSON line for machines."""

from __future__ import annotations

import json

from rich.console import Console
from rich.table import Table

from tests.bench.ingest import Ingest
from tests.bench.normal import Normal
from tests.bench.plan import Plan
from tests.bench.rates import Rates

MIB = 1 << 20


def show(name: str, bundle: str, plan: Plan, rates: Rates, normal: Normal, ingest: Ingest, threads: int) -> None:
    """Prints both."""
    facts = figures(plan, rates, normal, ingest)
    table = Table(
        title=f"{bundle} on {name}, {threads} threads, {plan.texts} distinct texts of {rates.tokens:.0f} tokens",
        caption="the pipeline's model: the same base unpruned, fp32, one fresh linear head over BERT's pooler, as wide as ours",
    )
    for column in ("what", "events/s", "x pipeline batched"):
        table.add_column(column, justify="left" if column == "what" else "right")
    for what, rate in (
        ("transformers.pipeline, one by one", rates.one_by_one),
        ("transformers.pipeline, batches of 32", rates.batched),
        ("our scorer, distinct events", rates.ours),
        ("whole ingest, cold cache", ingest.rate),
        ("whole ingest and delivery to a file", ingest.delivered_rate),
        (f"ceiling: distinct x repeat ratio {ingest.repeat:.1f}", rates.ours * ingest.repeat),
    ):
        table.add_row(what, f"{rate:,.0f}", f"{rate / rates.batched:.2f}")
    lines = Table(show_header=False)
    marks = ", ".join(f"{mark:,}: {seconds:.1f} s" for mark, seconds in ingest.marks.items())
    lines.add_row("ingest as a share of its ceiling", f"{facts['share_of_ceiling']:.0%}")
    lines.add_row(f"time grows (after {plan.warm:,} that warm the cache)", marks)
    lines.add_row(
        f"last {plan.chunk:,} against first {plan.chunk:,}",
        f"{ingest.growth:.2f} x the time, {ingest.cpu_growth:.2f} x the CPU time",
    )
    lines.add_row(
        "normalise, canonical form and fingerprint",
        f"{normal.share:.1%} of the rate of orjson.loads + dumps ({normal.ours:,.0f} of {normal.orjson:,.0f} events/s of one core)",
    )
    lines.add_row("peak memory of the daemon", f"{ingest.peak_memory / MIB:,.0f} MiB")
    lines.add_row(f"memory since the first {plan.chunk:,}", f"{ingest.memory_growth / MIB:+,.0f} MiB")
    lines.add_row("dead letters", str(ingest.dead))
    console = Console(width=110)
    console.print(table)
    console.print(lines)
    print(json.dumps({"stream": name, "bundle": bundle, **facts}))


def figures(plan: Plan, rates: Rates, normal: Normal, ingest: Ingest) -> dict[str, object]:
    """Every figure, with the ratios that follow from them."""
    ceiling = rates.ours * ingest.repeat
    return {
        "pipeline_one_by_one": round(rates.one_by_one, 1),
        "pipeline_batched": round(rates.batched, 1),
        "distinct": round(rates.ours, 1),
        "distinct_ratio": round(rates.ours / rates.batched, 2),
        "ingest": round(ingest.rate, 1),
        "ingest_ratio": round(ingest.rate / rates.batched, 2),
        "delivered": round(ingest.delivered_rate, 1),
        "repeat_ratio": round(ingest.repeat, 2),
        "ceiling_ratio": round(ceiling / rates.batched, 2),
        "share_of_ceiling": round(ingest.rate / ceiling, 3),
        "seconds": {str(mark): round(seconds, 2) for mark, seconds in ingest.marks.items()},
        "last_over_first": round(ingest.growth, 3),
        "last_over_first_cpu": round(ingest.cpu_growth, 3),
        "peak_memory_mib": round(ingest.peak_memory / MIB),
        "memory_growth_mib": round(ingest.memory_growth / MIB),
        "normalise": round(normal.ours, 1),
        "orjson": round(normal.orjson, 1),
        "normalise_share": round(normal.share, 3),
        "events": plan.stream,
        "dead": ingest.dead,
    }
