"""What Kubernetes is given: generated parts of the manifests, and programs that only run there."""
