"""Accounts, their health, and which one is next."""
