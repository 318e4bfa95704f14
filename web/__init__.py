"""What the outside reaches: pages, the API, and the doors before them (sessions, access rules, limits, headers)."""
