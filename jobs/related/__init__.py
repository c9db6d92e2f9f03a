"""What to show beside a pin: evidence that pins go together, and the choice among them."""
