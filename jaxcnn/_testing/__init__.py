"""What `jaxcnn.testing` is made of: comparing arrays, and the ways to a derivative."""
