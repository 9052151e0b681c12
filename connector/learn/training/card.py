"""The model card: what the member is for, what it was made from, whom its sources' licences ask to be named, and how good it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from connector.learn.corpora.recipes import RECIPES
from connector.learn.dataset import Facts
from connector.learn.training.fit import DEEP, DEFAULT, NAMED_EPOCHS, SPELT, WIDE, Recipe
from connector.learn.training.notice import texts
from connector.learn.training.pretrain import UNLABELLED
from connector.models.manifest import Base, Manifest

ALONE = "With one member, Triaged refuses automatic containment.\n"
"""What the card of a bundle of several members does not say."""

_USE = (
    """
The text member of this bundle reads the rendered canonical form of a security event and says two things: which MITRE ATT&CK
techniques (Enterprise v{attack}) the event shows, each with its own probability, and how likely the event is malicious
(`p_malicious`, at a reference prevalence of {prevalence:g}). It is meant for triage by people.
"""
    + ALONE
    + """
{made} It was trained on {rows} rows: {phases}. Best
dev score (mean of top-1 and top-3 over sources, and of AUC over kinds): {scores}. It was exported as ONNX int8.

## Made by

```
{command}
```

{base_facts}
"""
)

_BAG = "a bag of hashed token n-grams (up to {grams} tokens, {buckets} buckets){letters}"
_LETTERS = " and one of hashed letters\n(3 to 5 of the first {letters} bytes, {letter_buckets} buckets), learnt apart,"
_MADE = {
    DEEP: f"It is a wide-and-deep network: `{{base}}` (layers {{layers}}) with mean pooling, and {_BAG}.",
    WIDE: f"It is {_BAG} over the tokenizer of `{{base}}`. The encoder (layers {{layers}}) did not raise the\n"
    "dev score in its short training and is left out.",
    "bag": f"It is {_BAG} over the tokenizer of `{{base}}`, with two heads. No encoder\nwas trained.",
    "fitted": f"It is {_BAG} over a tokenizer of {{vocabulary}} byte pairs\nthat was fitted to the training texts, with two heads.",
}
_BAG_PHASE = "the bag for up to {wide_epochs:g} epochs"
_LETTERS_PHASE = ", that of letters for up to {letter_epochs:g}"
_MASKED_PHASE = ", then the encoder for {pretrain:g} passes of masked tokens, no label read{more}"
_DEEP_PHASE = ", then the encoder upon it for up to {epochs:g} (learning rate {learning_rate:g}, {train_length} tokens)"

_CAUTION = """
## How to read the numbers

Rows are split {split}. `dev` chose the epoch, `calibration` set probabilities and thresholds, so `dev` is the fairer
split for false alarms and `calibration` the fairer one for techniques. Labels are as strong as their basis: a file's
technique is given to every event of the file, a generated event is as right as the rule that it was generated from, and
benign background that recurs in many recordings has relatives in training. No number here says how the model does on
your site: what is ordinary differs by site.

Thresholds were set for a stream in which one benign event in twenty is an administrator's command and the rest is
background telemetry; false alarms per 10,000 such events: {alarms}. Below the resolution of the calibration rows they
are extrapolated by a generalised Pareto tail. Background of attack recordings (`outside-tree`) sets no threshold. On hosts whose background is unlike the rows', expect more: the tables below show
by basis where it already is more.
"""


def card(manifest: Manifest, facts: Facts, shown: Mapping[str, int] | None = None) -> str:
    """The README.md of a bundle. ``shown`` counts, by source, the texts that it gives away as examples."""
    recipe = manifest.metrics["training"]["recipe"]
    base = manifest.base or Base(name="unknown")
    kept = "fitted" if manifest.base is None else "bag"
    phases, letters = _BAG_PHASE, ""
    if recipe.get("letter_epochs", 0) > 0:
        phases += _LETTERS_PHASE
    if any(spec.options.get("letters") for spec in manifest.members):
        letters = _LETTERS.format(**recipe["shape"])
    if recipe.get("pretrain", 0) > 0:
        more = manifest.metrics["training"].get(UNLABELLED)
        beside = f" ({more['texts']} texts beside those of the rows)" if more else ""
        phases += _MASKED_PHASE.format(more=beside, **recipe)
    if recipe["epochs"] > 0:
        kept, phases = manifest.metrics["training"].get("kept", DEEP), phases + _DEEP_PHASE
        kept = WIDE if kept == SPELT else kept
    layers = "all" if recipe["layers"] is None else ", ".join(str(layer) for layer in recipe["layers"])
    alarms = ", ".join(f"{level} {rate:g}" for level, rate in manifest.thresholds.false_alarms.items())
    parts = [
        f"# {manifest.name} {manifest.version}\n",
        _USE.format(
            attack=manifest.attack_version,
            prevalence=manifest.calibration.reference_prevalence,
            made=_MADE[kept].format(
                base=base.name,
                layers=layers,
                **{**recipe["shape"], "letters": letters},
                vocabulary=recipe["vocabulary"],
            ),
            base_facts=f"## Base model\n\n`{base.name}`: {_base(base)}\n" if manifest.base else "",
            phases=phases.format(**recipe),
            command=command(manifest),
            rows=facts.rows.get("train", 0),
            scores=_scores(manifest.metrics["training"]),
        ),
        _CAUTION.format(split=facts.split, alarms=alarms),
        *(_split(name, manifest.metrics[name]) for name in ("dev", "calibration")),
        "\n## Sources\n\n",
        _table(
            ("source", "rows", "licence", "upstream", "by"),
            [
                (source.name, str(source.rows), source.licence, f"{source.upstream} @{source.commit}", source.authors)
                for source in manifest.dataset.sources
            ],
        ),
        f"\nDataset digest `{facts.digest}`, seed {facts.seed}, training seed {recipe['seed']}.\n",
        texts(shown or {}, manifest.dataset.sources),
        _authors(facts),
    ]
    return "".join(parts)


def command(manifest: Manifest) -> str:
    """The command that makes this bundle again; options that are the defaults are left out.

    Where a source has no recipe here, rows that were built with others' (``--extra``) are what it needs. Of unlabelled events
    the manifest tells the digest alone.
    """
    read = {source.name for source in manifest.dataset.sources}
    rows = "--corpora DIR" if read <= set(RECIPES) else "--rows ROWS --pins sources.toml"
    parts = [
        f"triaged train text {rows} --output model_store",
        f"--name {manifest.name} --version {manifest.version}",
    ]
    usual = msgspec.to_builtins(DEFAULT)
    if manifest.base is not None and not manifest.base.upstream:
        parts.append(f"--base {manifest.base.name}")
        usual |= {"layers": None, "epochs": NAMED_EPOCHS}
    used = msgspec.to_builtins(msgspec.convert(manifest.metrics["training"]["recipe"], Recipe))
    for name, value in (
        (name, tuple(value) if isinstance(value, list) else value) for name, value in sorted(used.items())
    ):
        if value != usual.get(name) and name != "shape":
            said = "all" if value is None else ",".join(map(str, value)) if isinstance(value, tuple) else f"{value}"
            parts.append(f"--{name.replace('_', '-')} {said}")
    if UNLABELLED in manifest.metrics["training"]:
        parts.append("--unlabelled EVENTS")
    if read < set(RECIPES):
        parts.append(f"--only {','.join(sorted(read))}")
    return " ".join(parts)


def _base(base: Base) -> str:
    said = (
        base.upstream or "a folder that the trainer named",
        f"licence {base.licence or 'not stated'}",
        f"by {base.credit}" if base.credit else "",
        f"SHA-256 of the weights `{base.sha256}`" if base.sha256 else "",
    )
    return "; ".join(part for part in said if part) + "."


def _scores(training: Mapping[str, Any]) -> str:
    """The best dev score of each phase; a fine-tuning that did not help must be seen."""
    found = {phase: [entry["eval_score"] for entry in training.get(phase, ())] for phase in (WIDE, SPELT, DEEP)}
    return ", ".join(f"{phase} {max(scores):.3f}" for phase, scores in found.items() if scores)


def _split(name: str, metrics: Mapping[str, Any]) -> str:
    techniques = [
        (source, *(f"{rates[key]:g}" for key in ("n", "top1", "top3", "top5")))
        for source, rates in [
            *metrics["technique_by_source"].items(),
            *((f"{source}, by file", rates) for source, rates in metrics["technique_by_file"].items() if rates),
        ]
    ]
    areas = [
        (kind, *(f"{rates[key]:g}" for key in ("malicious", "benign", "auc")))
        for kind, rates in metrics["malicious_auc_by_kind"].items()
    ]
    levels = ("suspicious", "malicious", "trigger")
    alarms = [
        (basis, f"{rates['n']:g}", *(f"{10_000 * rates[level]:g}" for level in levels))
        for basis, rates in metrics["flagged"].items()
    ]
    return "".join(
        [
            f"\n## Held-out groups: {name} ({metrics['rows']} rows)\n\nParent technique, by source:\n\n",
            _table(("source", "rows", "top-1", "top-3", "top-5"), techniques),
            "\nMalicious against benign, within one kind of event:\n\n",
            _table(("kind", "malicious", "benign", "AUC"), areas),
            "\nFlagged per 10,000, by label and basis (recall where malicious, false alarms where benign):\n\n",
            _table(("rows", "n", *levels), alarms),
        ]
    )


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def _authors(facts: Facts) -> str:
    return "".join(
        f"\n## Authors of the {name} rules used\n\n{'; '.join(authors)}\n"
        for name, authors in facts.authors.items()
        if authors
    )
