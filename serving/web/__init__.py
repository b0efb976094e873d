"""HTTP itself: requests and answers, who may ask, limits, the access log, and metrics."""
