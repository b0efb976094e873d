"""The routes for programs: predictions, status, models, webhooks."""
