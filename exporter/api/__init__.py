"""The service's REST API: what to send, what the answers and error codes mean, and the one call that goes out."""
