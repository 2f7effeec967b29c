"""Networks, each with its features and its classifier apart."""

from jaxcnn.models.alexnet import AlexNet
from jaxcnn.models.convnext import ConvNeXtTiny
from jaxcnn.models.dilated_context import DilatedContext
from jaxcnn.models.lenet import LeNet5
from jaxcnn.models.lenet_classic import LeNet5Classic
from jaxcnn.models.mobilenet import MobileNetV2
from jaxcnn.models.pattern import PatternCNN
from jaxcnn.models.resnet import CifarResNet, ResNet
from jaxcnn.models.simple_cnn import SimpleCNN
from jaxcnn.models.speed_net import CifarSpeedNet, whitening_kernel
from jaxcnn.models.torch_weights import load_torch, save_torch
from jaxcnn.models.unet import UNet
from jaxcnn.models.vgg import VGG

__all__ = [
    "AlexNet",
    "CifarResNet",
    "CifarSpeedNet",
    "ConvNeXtTiny",
    "DilatedContext",
    "LeNet5",
    "LeNet5Classic",
    "MobileNetV2",
    "PatternCNN",
    "ResNet",
    "SimpleCNN",
    "UNet",
    "VGG",
    "load_torch",
    "save_torch",
    "whitening_kernel",
]
