"""What the made pages of the documentation are made by: one module for each source of facts."""
