"""What an upstream lacks, lent to it: canonical in, canonical out."""
