"""What an attacker tries, and what holds against it; docs/security.md lists them."""
