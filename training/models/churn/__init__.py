"""The churn model: who is about to leave, and why."""
