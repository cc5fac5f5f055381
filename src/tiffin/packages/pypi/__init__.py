"""Python packages: requirements read, resolved by uv, and their wheels fetched and verified."""
