"""A trained network of handwritten digits, its samples and contract, and the demo run on them."""
