"""Talk to a cluster: where it is and who asks (`kubeconfig`), what for (`cluster`), of what (`kinds`)."""
