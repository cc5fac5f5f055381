"""The edge of one machine: Caddy in front of its services, for TLS, HTTP/2 and names of hosts."""
