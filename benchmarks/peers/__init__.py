"""Flows known exactly, and a room for each library whose samplers walk them."""
