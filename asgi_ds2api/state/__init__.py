"""Where cooldowns and other short-lived facts are kept."""
