"""What the web page and an interface for programs share: uploads, decoding, requests, sessions."""
