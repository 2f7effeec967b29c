"""Every picture of `jaxcnn.visualize` on one page that explains what they show."""
