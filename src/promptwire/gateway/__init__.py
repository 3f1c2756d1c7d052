"""Our own small model call: requests and answers of the providers' wires, and ``completion()`` over them."""
