"""Images: where they come from, who sees which, and how they reach the device."""
