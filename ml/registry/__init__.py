"""Registered versions: logged, loaded without being trusted, checked, and used to score files."""
