"""The workers: who may connect, what they say, and the processes that a front starts itself."""
