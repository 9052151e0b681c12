"""The adapter for Elasticsearch and OpenSearch."""
