"""How the product runs outside of a checkout: images, manifests, and a local stack of services."""
