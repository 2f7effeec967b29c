"""What several packages need of modules: to copy them, to read what they see, to save memory."""
