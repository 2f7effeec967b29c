"""Training steps of the networks in PyTorch: loss and parameters after a step of gradient descent.

A step takes the images, the labels and the parameters in the order of `names`, the names sorted.
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


NETWORKS = {"lenet5": lenet5, "small_vgg": small_vgg}


def _conv(x, p, name, padding):
    return F.conv2d(x, p[f"{name}/kernel"], p[f"{name}/bias"], padding=padding)


def _linear(x, p, name):
    return F.linear(x, p[f"{name}/kernel"], p[f"{name}/bias"])


def _flat(x):
    return x.permute(0, 2, 3, 1).flatten(1)  # row-major, channels last


class _Step:
    """A peer whose arguments are images, labels and parameters."""

    layouts = ()
    output = "plain"

    def all_layouts(self, options):
        batches = options["batches"]
        layouts = ["plain" if batches else "maps", "plain"]
        for name in options["names"]:
            kind = "linear" if name.startswith("classifier") else "kernel"
            layouts.append(kind if name.endswith("kernel") else "plain")
        return layouts

    def result_layouts(self, layouts):
        return ["plain", *layouts[2:]]

    def call(self, images, labels, *parameters, network, names, batches=0):
        if not batches:
            return self.step(images, labels, parameters, NETWORKS[network], names)
        losses = []
        for x, y in zip(images, labels, strict=True):
            loss, *parameters = self.step(
                x.permute(0, 3, 1, 2), y, parameters, NETWORKS[network], names
            )
            losses.append(loss)
        return (torch.stack(losses), *parameters)

    @staticmethod
    def step(images, labels, parameters, network, names):
        with torch.enable_grad():
            parameters = [p.detach().requires_grad_(True) for p in parameters]
            logits = network(images, dict(zip(names, parameters, strict=True)))
            loss = F.cross_entropy(logits, labels)
            gradients = torch.autograd.grad(loss, parameters)
        with torch.no_grad():
            moved = torch._foreach_add(parameters, gradients, alpha=-RATE)
        return (loss.detach(), *moved)


PEERS = {"step": _Step()}
