"""Training steps of the networks in PyTorch: loss and parameters after a step of gradient descent.

A step takes the images, the labels and the state in the order of `names`; those entries of it move
that are parameters. Averages of batch normalisations are left out, there as here.
"""

import torch
import torch.nn.functional as F

RATE = 0.01


def lenet5(x, p):
    """LeNet-5 as it is written today."""
    x = F.max_pool2d(F.relu(_conv(x, p, "features/conv1", 2)), 2)
    x = F.max_pool2d(F.relu(_conv(x, p, "features/conv2", 0)), 2)
    x = _flat(x)
    x = F.relu(_linear(x, p, "classifier/fc1"))
    x = F.relu(_linear(x, p, "classifier/fc2"))
    return _linear(x, p, "classifier/fc3")


def small_vgg(x, p):
    """Two convolutions of three taps and a pool, three times over, then two layers."""
    for stage in (1, 2, 3):
        x = F.relu(_conv(x, p, f"features/stage{stage}/conv1", 1))
        x = F.max_pool2d(F.relu(_conv(x, p, f"features/stage{stage}/conv2", 1)), 2)
    x = F.relu(_linear(_flat(x), p, "classifier/fc1"))
    return _linear(x, p, "classifier/fc2")


def resnet(x, p):
    """Residual blocks of two convolutions, after one of three taps."""
    x = F.relu(_block(x, p, "features/stem", 1, 1))
    for name in _numbered(p, "features/stage"):
        for block in _numbered(p, f"{name}/block"):
            first = name != "features/stage1" and block.endswith("block1")
            y = F.relu(_block(x, p, f"{block}/branch/conv1", 1 + first, 1))
            y = _block(y, p, f"{block}/branch/conv2", 1, 1)
            projected = f"{block}/shortcut/conv/kernel" in p
            x = F.relu(y + (_block(x, p, f"{block}/shortcut", 1 + first, 0) if projected else x))
    return _linear(x.mean((2, 3)), p, "classifier/fc")


def mobilenet(x, p):
    """MobileNetV2."""
    x = F.relu6(_block(x, p, "features/stem", 2, 1))
    for name in _numbered(p, "features/stage"):
        for block in _numbered(p, f"{name}/block"):
            halved = name[-1] in "2346" and block.endswith("block1")
            y, branch = x, f"{block}/branch"
            if f"{branch}/expand/conv/kernel" in p:
                y = F.relu6(_block(y, p, f"{branch}/expand"))
            y = F.relu6(_block(y, p, f"{branch}/depthwise", 1 + halved, 1, y.shape[1]))
            y = _block(y, p, f"{branch}/project")
            x = x + y if not halved and x.shape == y.shape else y
    x = F.relu6(_block(x, p, "features/top"))
    return _linear(x.mean((2, 3)), p, "classifier/fc")


def convnext(x, p):
    """ConvNeXt."""
    x = _layer_norm(_conv(x, p, "features/stem/conv", 0, 4), p, "features/stem/norm")
    for name in _numbered(p, "features/stage"):
        if name != "features/stage1":
            x = _conv(_layer_norm(x, p, f"{name}/norm"), p, f"{name}/conv", 0, 2)
        for block in _numbered(p, f"{name}/block"):
            y = _conv(x, p, f"{block}/branch/conv", 3, 1, x.shape[1])
            y = _layer_norm(y, p, f"{block}/branch/norm").permute(0, 2, 3, 1)
            y = F.gelu(_linear(y, p, f"{block}/branch/fc1"))
            y = _linear(y, p, f"{block}/branch/fc2") * p[f"{block}/layer_scale"]
            x = x + y.permute(0, 3, 1, 2)
    x = _layer_norm(x.mean((2, 3), keepdim=True), p, "classifier/norm")
    return _linear(x.flatten(1), p, "classifier/fc")


def speed_net(x, p):
    """The network of CIFAR's speed records."""
    x = _gelu(_conv(x, p, "features/whitening", 0))
    for block in _numbered(p, "features/block"):
        x = F.max_pool2d(_conv(x, p, f"{block}/conv1", 1), 2)
        x = _gelu(_batch_norm(x, p, f"{block}/norm1", 1e-12))
        x = _gelu(_batch_norm(_conv(x, p, f"{block}/conv2", 1), p, f"{block}/norm2", 1e-12))
    return _linear(x.amax((2, 3)), p, "classifier/fc") / 9


NETWORKS = {
    "lenet5": lenet5,
    "small_vgg": small_vgg,
    "resnet": resnet,
    "mobilenet": mobilenet,
    "convnext": convnext,
    "speed_net": speed_net,
}


def _conv(x, p, name, padding, stride=1, groups=1):
    bias = p.get(f"{name}/bias")
    return F.conv2d(x, p[f"{name}/kernel"], bias, stride, padding, groups=groups)


def _linear(x, p, name):
    return F.linear(x, p[f"{name}/kernel"], p.get(f"{name}/bias"))


def _batch_norm(x, p, name, epsilon=1e-5):
    scale, bias = p.get(f"{name}/scale"), p[f"{name}/bias"]
    return F.batch_norm(x, None, None, scale, bias, training=True, eps=epsilon)


def _layer_norm(x, p, name):
    """Over the channels of each pixel."""
    x = x.permute(0, 2, 3, 1)
    x = F.layer_norm(x, x.shape[-1:], p[f"{name}/scale"], p[f"{name}/bias"], eps=1e-6)
    return x.permute(0, 3, 1, 2)


def _block(x, p, name, stride=1, padding=0, groups=1):
    """A convolution and its batch normalisation."""
    return _batch_norm(_conv(x, p, f"{name}/conv", padding, stride, groups), p, f"{name}/norm")


def _gelu(x):
    return F.gelu(x, approximate="tanh")


def _flat(x):
    return x.permute(0, 2, 3, 1).flatten(1)  # row-major, channels last


def _numbered(p, prefix):
    """The names that begin with `prefix` and a number, in order of the numbers."""
    found = {name[len(prefix) :].split("/")[0] for name in p if name.startswith(prefix)}
    return [prefix + number for number in sorted(found, key=int)]


class _Step:
    """A peer whose arguments are images, labels and parameters."""

    layouts = ()
    output = "plain"

    def all_layouts(self, options):
        batches = options["batches"]
        layouts = ["plain" if batches else "maps", "plain"]
        for name in options["names"]:
            kind = "linear" if "/fc" in name else "kernel"
            layouts.append(kind if name.endswith("kernel") else "plain")
        return layouts

    def result_layouts(self, layouts):
        return ["plain", *layouts[2:]]

    def call(self, images, labels, *state, network, names, moved, batches=0):
        network = NETWORKS[network]
        if not batches:
            return self.step(images, labels, state, network, names, moved)
        losses = []
        for x, y in zip(images, labels, strict=True):
            loss, *state = self.step(x.permute(0, 3, 1, 2), y, state, network, names, moved)
            losses.append(loss)
        return (torch.stack(losses), *state)

    @staticmethod
    def step(images, labels, state, network, names, moved):
        with torch.enable_grad():
            state = [a.detach().requires_grad_(m) for a, m in zip(state, moved, strict=True)]
            parameters = [a for a, m in zip(state, moved, strict=True) if m]
            logits = network(images, dict(zip(names, state, strict=True)))
            loss = F.cross_entropy(logits, labels)
            gradients = torch.autograd.grad(loss, parameters)
        with torch.no_grad():
            steps = iter(torch._foreach_add(parameters, gradients, alpha=-RATE))
            return (
                loss.detach(),
                *(next(steps) if m else a for a, m in zip(state, moved, strict=True)),
            )


PEERS = {"step": _Step()}
