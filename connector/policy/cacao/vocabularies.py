"""The vocabularies of CACAO 2.0.

The specification leaves them open. Here they are closed, save where a definition brings its own type: whether a playbook
contains is judged by its activities, so a misspelt one must not pass.
"""

from __future__ import annotations

from typing import Final

PLAYBOOK_TYPES: Final = frozenset(
    {"attack", "detection", "engagement", "investigation", "mitigation", "notification", "prevention", "remediation"}
)
"""playbook-type-ov, section 3.1.1."""

ACTIVITIES: Final = frozenset(
    {"compose-content", "deliver-content", "identify-audience", "identify-channel", "scan-system", "match-indicator"}
    | {"analyze-collected-data", "identify-indicators", "scan-vulnerabilities", "configure-systems", "restrict-access"}
    | {"disconnect-system", "eliminate-risk", "revert-system", "restore-data", "restore-capabilities", "map-network"}
    | {"identify-steps", "step-sequence", "prepare-engagement", "execute-operation", "analyze-engagement-results"}
)
"""playbook-activity-type-ov, section 3.1.2."""

CONTAINING: Final = frozenset({"restrict-access", "disconnect-system", "eliminate-risk", "configure-systems"})
"""Activities that change the world of the asset concerned: a playbook with one of them contains."""

SECTORS: Final = frozenset(
    {"aerospace", "agriculture", "automotive", "aviation", "biotechnology", "chemical", "commercial", "construction"}
    | {"consulting", "cosmetics", "critical-infrastructure", "dams", "defense", "education", "electronics-hardware"}
    | {"emergency-services", "energy", "financial", "food", "gambling", "government", "healthcare", "human-rights"}
    | {"humanitarian-aid", "information-communications-technology", "legal-services", "local-government", "lodging"}
    | {"logistics-shipping", "manufacturing", "maritime", "media", "metals", "mining", "national-government"}
    | {"non-profit", "non-renewable-energy", "nuclear", "petroleum", "pharmaceuticals", "public-services"}
    | {"regional-government", "renewable-energy", "research", "software", "telecommunications", "transportation"}
    | {"utilities", "video-game", "water"}
)
"""industry-sector-ov, section 7.7.1."""

CATEGORIES: Final = frozenset(
    {"aaa", "analytics", "caldera", "content-gateway", "desktop", "endpoint", "firewall", "handset", "ids", "ips"}
    | {"kali", "manx", "orchestrator", "os-linux", "os-mac", "os-windows", "ragdoll", "redcanary-atomicred", "router"}
    | {"sandcat", "server", "siem", "switch", "ticketing", "tip", "wireless"}
)
"""security-category-type-ov, section 7.11.1."""

REGIONS: Final = frozenset(
    {"africa", "eastern-africa", "middle-africa", "northern-africa", "southern-africa", "western-africa", "americas"}
    | {"caribbean", "central-america", "latin-america-caribbean", "northern-america", "south-america", "asia"}
    | {"central-asia", "eastern-asia", "southern-asia", "south-eastern-asia", "western-asia", "europe", "antarctica"}
    | {"eastern-europe", "northern-europe", "southern-europe", "western-europe", "oceania", "australia-new-zealand"}
    | {"melanesia", "micronesia", "polynesia"}
)
"""region-enum, section 10.4.1."""
