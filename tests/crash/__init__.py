"""The crash test: everything is killed at random moments, and nothing may be lost, doubled or stuck."""
