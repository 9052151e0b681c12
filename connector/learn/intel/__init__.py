"""New threat intelligence as training rows: ATT&CK releases, STIX, TAXII, Sigma rules and MISP, each with provenance."""
