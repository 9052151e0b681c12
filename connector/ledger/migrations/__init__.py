"""How the schema grew; run by connector.ledger.migrate."""
