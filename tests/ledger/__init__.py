"""The ledger suite: every rule on SQLite and on PostgreSQL."""
