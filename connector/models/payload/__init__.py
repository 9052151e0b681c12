"""The payload member: which bytes of an event are a payload, what hides them, and what a network makes of them."""
