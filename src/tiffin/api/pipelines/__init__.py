"""Pipelines: what their steps are done in and with, their runs, when they are due, and Kubeflow."""
