"""Programs that run from a checkout; each is one file that needs nothing but Python."""
