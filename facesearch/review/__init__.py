"""What a human decides next: groups of unnamed faces, and the order in which to ask about them."""
