"""Networks, each with its features and its classifier apart."""

from jaxcnn.models._torch.report import TorchReport
from jaxcnn.models.alexnet import AlexNet
from jaxcnn.models.convnext import ConvNeXtTiny
from jaxcnn.models.densenet import DenseNet
from jaxcnn.models.dilated_context import DilatedContext
from jaxcnn.models.efficientnet import EfficientNetB0
from jaxcnn.models.googlenet import GoogLeNet
from jaxcnn.models.lenet import LeNet5
from jaxcnn.models.lenet_classic import LeNet5Classic
from jaxcnn.models.mobilenet import MobileNetV2
from jaxcnn.models.pattern import PatternCNN
from jaxcnn.models.regnet import RegNet
from jaxcnn.models.resnet import CifarResNet, ResNet
from jaxcnn.models.simple_cnn import SimpleCNN
from jaxcnn.models.speed_net import CifarSpeedNet, whitening_kernel
from jaxcnn.models.squeezenet import SqueezeNet
from jaxcnn.models.torch_weights import load_torch, save_torch
from jaxcnn.models.unet import UNet
from jaxcnn.models.vgg import VGG

__all__ = [
    "AlexNet",
    "CifarResNet",
    "CifarSpeedNet",
    "ConvNeXtTiny",
    "DenseNet",
    "DilatedContext",
    "EfficientNetB0",
    "GoogLeNet",
    "LeNet5",
    "LeNet5Classic",
    "MobileNetV2",
    "PatternCNN",
    "RegNet",
    "ResNet",
    "SimpleCNN",
    "SqueezeNet",
    "TorchReport",
    "UNet",
    "VGG",
    "load_torch",
    "save_torch",
    "whitening_kernel",
]
