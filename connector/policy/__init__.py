"""What to say of an event and what to do about it: two pure functions, the policy that they read, and the contract."""

from connector.policy.admission import AdmissionContext, Admitted, Refuse, Run, Scope, Wait
from connector.policy.admit import KILL_SWITCH, admit, is_switch, scopes, switched_off
from connector.policy.decide import Decision, DecisionContext, Listed, decide
from connector.policy.document import document, error_document, record_document, risk_score
from connector.policy.enrichment import Enrichment
from connector.policy.facts import verdict_name
from connector.policy.model import Policy, Rule
from connector.policy.silences import is_silence

__all__ = [
    "KILL_SWITCH",
    "AdmissionContext",
    "Admitted",
    "Decision",
    "DecisionContext",
    "Enrichment",
    "Listed",
    "Policy",
    "Refuse",
    "Rule",
    "Run",
    "Scope",
    "Wait",
    "admit",
    "decide",
    "document",
    "error_document",
    "is_silence",
    "is_switch",
    "record_document",
    "risk_score",
    "scopes",
    "switched_off",
    "verdict_name",
]
