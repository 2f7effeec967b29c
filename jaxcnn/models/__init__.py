"""Networks, each with its features and its classifier apart."""

from jaxcnn.models.lenet import LeNet5
from jaxcnn.models.lenet_classic import LeNet5Classic

__all__ = ["LeNet5", "LeNet5Classic"]
