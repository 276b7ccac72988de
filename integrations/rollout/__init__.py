"""Roll-outs to a cluster: manifests, what is kept there, what is seen there, and the driver."""
