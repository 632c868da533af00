"""The public HTTP API: requests, answers, errors and pages; ``api`` puts them together."""
