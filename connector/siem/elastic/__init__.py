"""The adapter for Elasticsearch and OpenSearch."""

from __future__ import annotations

from connector.ports import SiemPlugin
from connector.siem.elastic.history import ElasticHistory
from connector.siem.elastic.source import ElasticSource
from connector.siem.elastic.writer import ElasticWriter

plugin = SiemPlugin(
    source=ElasticSource, writer=ElasticWriter, history=ElasticHistory, testbed="tests.siem.elastic.beds:ElasticTestbed"
)
