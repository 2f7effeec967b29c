"""Every exported network once, as small as it gets: how it is built, and one image's shape."""

import functools
import inspect

from jaxcnn import models, nn

NETWORKS = {
    "AlexNet": (functools.partial(models.AlexNet, 3, hidden_features=4), (63, 63, 3)),
    "CifarResNet": (functools.partial(models.CifarResNet, 8, 3, widths=(4, 6, 8)), (8, 8, 3)),
    "CifarSpeedNet": (functools.partial(models.CifarSpeedNet, 3, widths=(8, 6, 6)), (18, 18, 3)),
    "ConvNeXtTiny": (
        functools.partial(
            models.ConvNeXtTiny, 3, depths=(1, 1), widths=(4, 6), stochastic_depth=0.5
        ),
        (8, 8, 3),
    ),
    "DenseNet": (functools.partial(models.DenseNet, 3, depths=(1, 2), growth=4), (16, 17, 3)),
    "DilatedContext": (
        functools.partial(
            models.DilatedContext, 3, widths=(2, 3, 4, 4, 4), hidden_features=4, context=None
        ),
        (9, 9, 3),
    ),
    "EfficientNetB0": (
        functools.partial(
            models.EfficientNetB0,
            3,
            stages=((1, 3, 1, 8, 1), (2, 5, 1, 8, 1)),
            stochastic_depth=0.5,
        ),
        (8, 9, 3),
    ),
    "GoogLeNet": (
        functools.partial(
            models.GoogLeNet, 3, modules={"3": ((2, 2, 3, 2, 2, 3),), "5": ((3, 2, 2, 2, 3, 2),)}
        ),
        (17, 19, 3),
    ),
    "LeNet5": (functools.partial(models.LeNet5, 3), (28, 28, 1)),
    "LeNet5Classic": (functools.partial(models.LeNet5Classic), (32, 32, 1)),
    "MobileNetV2": (
        functools.partial(models.MobileNetV2, 3, stages=((2, 8, 2, 1),)),
        (10, 10, 3),
    ),
    "PatternCNN": (
        functools.partial(models.PatternCNN, (8, 6, 2), 3, stages=1, features=2),
        (8, 6, 2),
    ),
    "RegNet": (
        functools.partial(models.RegNet, "y_400mf", 3, depths=(1, 1), widths=(8, 16)),
        (9, 10, 3),
    ),
    "ResNet": (functools.partial(models.ResNet, 18, 3), (32, 32, 3)),
    "SimpleCNN": (functools.partial(models.SimpleCNN, 3, widths=(2, 3)), (8, 8, 1)),
    "SqueezeNet": (
        functools.partial(models.SqueezeNet, "1.1", 3, fires=((2, 3), (3, 4), (2, 4))),
        (21, 22, 3),
    ),
    "UNet": (
        functools.partial(
            models.UNet, 3, widths=(3, 4, 2), norm=nn.batch_norm, dropout=0.4, in_features=2
        ),
        (6, 7, 2),
    ),
    "VGG": (
        functools.partial(models.VGG, 11, 3, batch_normalized=True, hidden_features=8),
        (32, 32, 3),
    ),
}
REMAT = {
    name: (functools.partial(build, remat=True), shape)
    for name, (build, shape) in NETWORKS.items()
    if "remat" in inspect.signature(build.func.__init__).parameters
}
