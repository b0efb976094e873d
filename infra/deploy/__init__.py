"""The containers of `docker compose up`: roles, jobs, health checks, and the file of secrets."""
