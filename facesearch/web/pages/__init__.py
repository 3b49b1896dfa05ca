"""The pages, each in a file of its own: its addresses, and what it answers at each."""
