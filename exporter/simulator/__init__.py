"""The service's double: it speaks the contract of the public documents, and shares no code with the client it tests."""
