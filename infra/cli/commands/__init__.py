"""The commands of `trackyard`, by noun."""
