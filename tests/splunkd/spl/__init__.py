"""As much of Splunk's search language as the product sends; what is not known here is refused, never guessed."""
