"""The published method as one would write it down with scipy and Keras: what the product is compared with.

Its steps, orders and settings are those of the paper and its published code; its lines are not. Where the
published code calls scikit-image's `resize` with anti-aliasing, its two scipy calls stand here.
"""
