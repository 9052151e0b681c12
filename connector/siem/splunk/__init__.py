"""The adapter for Splunk."""
