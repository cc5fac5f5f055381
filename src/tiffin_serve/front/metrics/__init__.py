"""What is counted and timed, and how a scraper reads it."""
