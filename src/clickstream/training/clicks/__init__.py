"""Click models: from what was shown where, and what was done with it, to labels without position bias.

A position is clicked more often because it is seen more often. Each correction is a click model that takes this
out: it labels every item of a log for every query, and predicts the acts of sessions that it did not learn from,
by which corrections are compared (R18).
"""
