"""Networks, each with its features and its classifier apart."""

from jaxcnn.models.lenet import LeNet5

__all__ = ["LeNet5"]
