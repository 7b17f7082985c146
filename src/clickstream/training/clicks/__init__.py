"""Click models: from a log to labels without position bias."""
