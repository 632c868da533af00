"""What a batch publishes and a request reads: forecast sets and score sets.

``forecast`` holds a forecast of every queue, ``scores`` a churn score of every customer. Both
are immutable folders (see ``features.artefact``) that a worker verifies once and then reads in
place, so that an answer costs a slice and memory does not grow with the number of customers.
"""
