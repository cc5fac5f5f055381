"""Relays connections to replicas of any image: what a front is for models, for programs that bind their own port."""
