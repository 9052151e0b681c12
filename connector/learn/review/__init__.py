"""The review queue: what analysts are asked about, and what becomes of their answers."""

from connector.learn.review.answers import Answer, answer
from connector.learn.review.job import ReviewQueue, built
from connector.learn.review.shown import listed, plain, whole

__all__ = ["Answer", "ReviewQueue", "answer", "built", "listed", "plain", "whole"]
