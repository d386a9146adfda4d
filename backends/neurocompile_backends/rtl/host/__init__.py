"""The other end of the link: words, bytes, drivers."""
