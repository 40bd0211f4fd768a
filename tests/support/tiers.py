"""The isolation tiers that this host offers, the best first: asked once for all tests."""

from fc_runtime.isolation import tiers

AVAILABLE = tiers.available()
