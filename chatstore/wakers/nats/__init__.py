"""Notices by NATS, for servers that cannot LISTEN and for thousands of processes. Needs the extra `nats`: nats-py."""
