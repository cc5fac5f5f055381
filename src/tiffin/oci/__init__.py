"""The vocabulary of OCI: digest, descriptor, reference, platform, manifest, config, and the seam for places with blobs.

Specs: opencontainers/image-spec 1.1 and distribution-spec 1.1.
"""
