"""What one caller may use, and what it costs."""
