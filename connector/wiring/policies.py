"""What decides: the policy, the site's own tables, and whether they fit to the settings."""

from __future__ import annotations

from collections.abc import Mapping

from connector.errors import ConfigError
from connector.models import Store
from connector.policy import Enrichment, Policy
from connector.policy.assets import read_assets
from connector.policy.check import Site
from connector.policy.matching import META
from connector.resources import shipped
from connector.settings import Settings


def load_policy(settings: Settings) -> Policy:
    """The configured policy, or the shipped one."""
    folder = settings.policy.playbooks or shipped("playbooks")
    return Policy.load(settings.policy.path or shipped("playbooks") / "policy.toml", folder)


def load_enrichment(settings: Settings) -> Enrichment:
    """The tables of assets and the lists that the settings name."""
    return Enrichment.load(settings.enrichment.assets, settings.enrichment.lists)


def site(settings: Settings) -> Site:
    """What the settings, the bundle in production and the tables of assets say that a policy may name.

    Without any source, target and SOAR in the settings these are not known; nor is a bundle where none is in production.
    """
    named = settings.sources or settings.targets or settings.soars or settings.api.inlets
    deployments = {source.deployment for source in settings.sources.values()}
    deployments |= {inlet.deployment for inlet in settings.api.inlets.values()}
    store = Store(settings.model.store or shipped("model_store"))
    bundle = settings.model.bundle or store.production()
    manifest = None if bundle is None else store.manifest(bundle)
    labels = manifest.labels if manifest else ()
    return Site(
        soars=frozenset(settings.soars) if named else None,
        sources=frozenset(deployments) if named else None,
        labels=frozenset((*labels, *(label.partition(".")[0] for label in labels))) if manifest else None,
        members=sum(member.name != META for member in manifest.members) if manifest else None,
        thresholds=manifest.thresholds if manifest else None,
        assets=tuple(read_assets(settings.enrichment.assets)) if settings.enrichment.assets else None,
    )


def check_policy(policy: Policy, settings: Settings) -> None:
    """What a policy needs of the settings: its SOARs with its playbooks, and a memory as long as its longest rule.

    Raises ``ConfigError``.
    """
    if missing := sorted(policy.soars - settings.soars.keys()):
        raise ConfigError(
            f"policy {policy.name!r} runs playbooks on {', '.join(missing)}; configured SOARs are: "
            f"{', '.join(settings.soars) or 'none'}. Name it in the settings (`[soars.{missing[0]}]`, with "
            '`type = "dryrun"` to only record runs), or give `policy.path` a policy whose rules all have '
            '`mode = "suggest"`'
        )
    for rule in policy.rules:
        known = getattr(settings.soars.get(rule.soar), "playbooks", None)
        if rule.mode != "suggest" and isinstance(known, Mapping) and rule.playbook not in known:
            raise ConfigError(
                f"rule {rule.name!r} of policy {policy.name!r} runs {rule.playbook!r} on {rule.soar!r}, whose `playbooks` "
                f"have no such one; they have: {', '.join(sorted(known)) or 'none'}"
            )
        if rule.mode != "suggest" and rule.memory > settings.retention.tombstones:
            raise ConfigError(
                f"retention.tombstones ({settings.retention.tombstones}) must be at least as long as what rule "
                f"{rule.name!r} of policy {policy.name!r} counts over ({rule.memory}), or it would forget a run too early"
            )
