"""Networks, each with its features and its classifier apart."""

from jaxcnn.models.alexnet import AlexNet
from jaxcnn.models.lenet import LeNet5
from jaxcnn.models.lenet_classic import LeNet5Classic
from jaxcnn.models.pattern import PatternCNN
from jaxcnn.models.resnet import CifarResNet, ResNet
from jaxcnn.models.vgg import VGG

__all__ = ["VGG", "AlexNet", "CifarResNet", "LeNet5", "LeNet5Classic", "PatternCNN", "ResNet"]
