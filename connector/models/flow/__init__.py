"""The flow member: gradient-boosted trees over what Zeek's conn.log and NetFlow both say of a connection."""
