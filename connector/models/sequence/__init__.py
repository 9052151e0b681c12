"""The sequence member: what a host did before an event, as a bounded window that is kept in the ledger."""
