"""The flow member: trained, calibrated and measured."""
