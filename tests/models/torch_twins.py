"""The same networks in plain PyTorch, their layers named as torchvision or timm names them."""

import torch
from torch import nn

torch.set_num_threads(1)  # other tests run beside


class Twin(nn.Module):
    """Parts by name, run in order; names with dots nest."""

    def __init__(self, **parts):
        super().__init__()
        for name, part in parts.items():
            self.add_module(name, part)

    def forward(self, x):
        for part in self.children():
            x = part(x)
        return x


def alexnet(classes, hidden):
    c, r, p = nn.Conv2d, nn.ReLU, nn.MaxPool2d
    features = nn.Sequential(
        *(c(3, 64, 11, 4, 2), r(), p(3, 2), c(64, 192, 5, padding=2), r(), p(3, 2)),
        *(c(192, 384, 3, padding=1), r(), c(384, 256, 3, padding=1), r()),
        *(c(256, 256, 3, padding=1), r(), p(3, 2)),
    )
    d = nn.Dropout
    linear = nn.Linear
    classifier = nn.Sequential(
        *(d(), linear(9216, hidden), r(), d(), linear(hidden, hidden), r()),
        linear(hidden, classes),
    )
    pool, flatten = nn.AdaptiveAvgPool2d(6), nn.Flatten()
    return Twin(features=features, avgpool=pool, flatten=flatten, classifier=classifier)


def vgg(counts, classes, hidden, norm, timm=False):
    layers, inside = [], 3
    for count, width in zip(counts, (64, 128, 256, 512, 512), strict=True):
        for _ in range(count):
            layers += [nn.Conv2d(inside, width, 3, padding=1)]
            layers += [nn.BatchNorm2d(width), nn.ReLU()] if norm else [nn.ReLU()]
            inside = width
        layers += [nn.MaxPool2d(2, 2)]
    features, pool = nn.Sequential(*layers), nn.AdaptiveAvgPool2d(7)
    if timm:
        logits = Twin(fc1=nn.Conv2d(512, hidden, 7), act1=nn.ReLU())
        logits.add_module("fc2", nn.Conv2d(hidden, hidden, 1))
        logits.add_module("act2", nn.ReLU())
        head = Twin(flatten=nn.Flatten(), fc=nn.Linear(hidden, classes))
        return Twin(features=features, pool=pool, pre_logits=logits, head=head)
    classifier = nn.Sequential(
        *(nn.Linear(25088, hidden), nn.ReLU(), nn.Dropout()),
        *(nn.Linear(hidden, hidden), nn.ReLU(), nn.Dropout(), nn.Linear(hidden, classes)),
    )
    return Twin(features=features, avgpool=pool, flatten=nn.Flatten(), classifier=classifier)


class ResidualTwin(nn.Module):
    def __init__(self, inside, width, stride, bottleneck):
        super().__init__()
        outside = width * 4 if bottleneck else width
        shapes = [(inside, width, 3, stride), (width, width, 3, 1)]
        if bottleneck:
            shapes = [(inside, width, 1, 1), (width, width, 3, stride), (width, outside, 1, 1)]
        self.count = len(shapes)
        for i, (a, b, size, step) in enumerate(shapes, 1):
            self.add_module(f"conv{i}", nn.Conv2d(a, b, size, step, size // 2, bias=False))
            self.add_module(f"bn{i}", nn.BatchNorm2d(b))
        self.downsample = None
        if stride > 1 or inside != outside:
            conv = nn.Conv2d(inside, outside, 1, stride, bias=False)
            self.downsample = nn.Sequential(conv, nn.BatchNorm2d(outside))

    def forward(self, x):
        y = x
        for i in range(1, self.count + 1):
            y = getattr(self, f"bn{i}")(getattr(self, f"conv{i}")(y))
            if i < self.count:
                y = y.relu()
        return (y + (self.downsample(x) if self.downsample else x)).relu()


def resnet(counts, classes, bottleneck):
    conv = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
    net = Twin(conv1=conv, bn1=nn.BatchNorm2d(64), relu=nn.ReLU(), maxpool=nn.MaxPool2d(3, 2, 1))
    inside = 64
    for stage, count in enumerate(counts, 1):
        width, blocks = 32 * 2**stage, []
        for i in range(count):
            stride = 2 if stage > 1 and i == 0 else 1
            blocks += [ResidualTwin(inside, width, stride, bottleneck)]
            inside = width * (4 if bottleneck else 1)
        net.add_module(f"layer{stage}", nn.Sequential(*blocks))
    net.add_module("avgpool", nn.AdaptiveAvgPool2d(1))
    net.add_module("flatten", nn.Flatten())
    net.add_module("fc", nn.Linear(inside, classes))
    return net


def _step(a, b, size=1, stride=1, groups=1):
    return nn.Conv2d(a, b, size, stride, size // 2, groups=groups, bias=False)


class InvertedTwin(nn.Module):
    def __init__(self, inside, outside, stride, expansion, timm):
        super().__init__()
        self.same = stride == 1 and inside == outside
        wide = inside * expansion
        steps = [(_step(wide, wide, 3, stride, wide), wide), (_step(wide, outside), outside)]
        if expansion > 1:
            steps.insert(0, (_step(inside, wide), wide))
        if timm:
            names = ("conv_dw", "conv_pw") if expansion == 1 else ("conv_pw", "conv_dw", "conv_pwl")
            for i, (name, (conv, width)) in enumerate(zip(names, steps, strict=True), 1):
                self.add_module(name, conv)
                self.add_module(f"bn{i}", nn.BatchNorm2d(width))
                if i < len(steps):
                    self.add_module(f"act{i}", nn.ReLU6())
        else:
            parts = [nn.Sequential(c, nn.BatchNorm2d(w), nn.ReLU6()) for c, w in steps[:-1]]
            self.conv = nn.Sequential(*parts, steps[-1][0], nn.BatchNorm2d(outside))

    def forward(self, x):
        y = x
        for part in self.children():
            y = part(y)
        return x + y if self.same else y


def mobilenet(stages, classes, timm=False):
    inside, groups = 32, []
    for expansion, width, count, stride in stages:
        group = []
        for i in range(count):
            block = InvertedTwin(inside, width, stride if i == 0 else 1, expansion, timm)
            group, inside = [*group, block], width
        groups += [group]
    stem, top = _step(3, 32, 3, 2), _step(inside, 1280)
    ends = nn.BatchNorm2d(32), nn.BatchNorm2d(1280)
    pool, flatten, linear = nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(1280, classes)
    if timm:
        blocks = nn.Sequential(*(nn.Sequential(*group) for group in groups))
        body = dict(conv_stem=stem, bn1=ends[0], act1=nn.ReLU6(), blocks=blocks)
        body |= dict(conv_head=top, bn2=ends[1], act2=nn.ReLU6(), pool=pool, flatten=flatten)
        return Twin(**body, classifier=linear)
    features = nn.Sequential(
        nn.Sequential(stem, ends[0], nn.ReLU6()),
        *(block for group in groups for block in group),
        nn.Sequential(top, ends[1], nn.ReLU6()),
    )
    classifier = nn.Sequential(nn.Dropout(0.2), linear)
    return Twin(features=features, pool=pool, flatten=flatten, classifier=classifier)


class Permute(nn.Module):
    def __init__(self, *axes):
        super().__init__()
        self.axes = axes

    def forward(self, x):
        return x.permute(self.axes)


class ChannelNorm(nn.LayerNorm):
    def __init__(self, width):
        super().__init__(width, eps=1e-6)

    def forward(self, x):
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class ConvNeXtTwin(nn.Module):
    def __init__(self, width, timm):
        super().__init__()
        conv, norm = nn.Conv2d(width, width, 7, padding=3, groups=width), nn.LayerNorm(width, 1e-6)
        fc1, fc2 = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        if timm:
            self.gamma = nn.Parameter(torch.ones(width))
            self.conv_dw, self.norm, self.mlp = conv, norm, Twin(fc1=fc1, act=nn.GELU(), fc2=fc2)
        else:
            self.layer_scale = nn.Parameter(torch.ones(width, 1, 1))
            last, first = Permute(0, 2, 3, 1), Permute(0, 3, 1, 2)
            self.block = nn.Sequential(conv, last, norm, fc1, nn.GELU(), fc2, first)

    def forward(self, x):
        if hasattr(self, "block"):
            return x + self.layer_scale * self.block(x)
        y = self.mlp(self.norm(self.conv_dw(x).permute(0, 2, 3, 1)))
        return x + (self.gamma * y).permute(0, 3, 1, 2)


def convnext(depths, widths, classes, timm=False):
    stem = nn.Sequential(nn.Conv2d(3, widths[0], 4, 4), ChannelNorm(widths[0]))
    stages, parts = [], [stem]
    for i, (depth, width) in enumerate(zip(depths, widths, strict=True)):
        blocks = nn.Sequential(*(ConvNeXtTwin(width, timm) for _ in range(depth)))
        shrink = nn.Identity()
        if i:
            before = widths[i - 1]
            shrink = nn.Sequential(ChannelNorm(before), nn.Conv2d(before, width, 2, 2))
            parts += [shrink]
        parts += [blocks]
        stages += [Twin(downsample=shrink, blocks=blocks)]
    pool, norm, linear = nn.AdaptiveAvgPool2d(1), ChannelNorm(width), nn.Linear(width, classes)
    if timm:
        head = Twin(global_pool=pool, norm=norm, flatten=nn.Flatten(), fc=linear)
        return Twin(stem=stem, stages=nn.Sequential(*stages), head=head)
    classifier = nn.Sequential(norm, nn.Flatten(), linear)
    return Twin(features=nn.Sequential(*parts), avgpool=pool, classifier=classifier)


def lenet(classes):
    """With the names of most tutorials."""
    net, pool = Twin(), nn.MaxPool2d(2)
    for i, conv in enumerate((nn.Conv2d(1, 6, 5, padding=2), nn.Conv2d(6, 16, 5)), 1):
        net.add_module(f"conv{i}", conv)
        net.add_module(f"pool{i}", nn.Sequential(nn.ReLU(), pool))
    sizes = (400, 120, 84, classes)
    net.add_module("flatten", nn.Flatten())
    for i in (1, 2, 3):
        net.add_module(f"fc{i}", nn.Linear(sizes[i - 1], sizes[i]))
        net.add_module(f"act{i}", nn.ReLU() if i < 3 else nn.Identity())
    return net


def simple_cnn(classes, widths, size):
    """Layers by numbers alone."""
    layers, inside = [], 1
    for i, width in enumerate((*widths, classes)):
        taps = size if i == 0 else 3
        block = [nn.Conv2d(inside, width, taps, 2, taps // 2), nn.BatchNorm2d(width), nn.ReLU()]
        layers, inside = [*layers, nn.Sequential(*block[: 3 if i < len(widths) else 2])], width
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())


def layers(classes, height, width):
    """One of each kind, by numbers alone."""
    convs = nn.Conv2d(6, 8, 3, groups=2), nn.Conv2d(8, 16, 3, groups=8)
    up = nn.ConvTranspose2d(3, 4, (2, 3), 2), nn.ConvTranspose2d(4, 6, 3, 2)
    norms = nn.GroupNorm(2, 6), nn.BatchNorm2d(16)
    head = nn.Flatten(), nn.Linear(16 * height * width, classes)
    return nn.Sequential(*up, norms[0], *convs, norms[1], *head)


class UNetTwin(nn.Module):
    """Three sizes, with names in which their order does not show."""

    def __init__(self, inside, width, classes):
        super().__init__()

        def double(a):
            convs = nn.Conv2d(a, width, 3, padding=1), nn.Conv2d(width, width, 3, padding=1)
            return nn.Sequential(convs[0], nn.ReLU(), convs[1], nn.ReLU())

        def grow():
            return nn.ConvTranspose2d(width, width, 2, 2)

        self.inc, self.down, self.floor = double(inside), double(width), double(width)
        self.lift, self.up, self.raised = grow(), double(2 * width), grow()
        self.top, self.outc = double(2 * width), nn.Conv2d(width, classes, 1)

    def forward(self, x):
        first = self.inc(x)
        second = self.down(torch.max_pool2d(first, 2))
        y = self.floor(torch.max_pool2d(second, 2))
        y = self.up(torch.cat([second, self.lift(y)], 1))
        y = self.top(torch.cat([first, self.raised(y)], 1))
        return self.outc(y)


def cifar_resnet(blocks, widths, classes):
    """With shortcuts by convolutions, and a head of another name than torchvision's."""
    conv, norm = nn.Conv2d(3, widths[0], 3, padding=1, bias=False), nn.BatchNorm2d(widths[0])
    net = Twin(conv1=conv, bn1=norm, relu=nn.ReLU())
    inside = widths[0]
    for stage, width in enumerate(widths, 1):
        steps = [2 if stage > 1 and i == 0 else 1 for i in range(blocks)]
        parts = [
            ResidualTwin(inside if i == 0 else width, width, step, False)
            for i, step in enumerate(steps)
        ]
        net.add_module(f"layer{stage}", nn.Sequential(*parts))
        inside = width
    net.add_module("pool", nn.AdaptiveAvgPool2d(1))
    net.add_module("flatten", nn.Flatten())
    net.add_module("linear", nn.Linear(inside, classes))
    return net


def drawn(build):
    """The network with all parameters random, and statistics and factors far from 0 and 1."""
    torch.manual_seed(0)
    net = build().eval()
    for name, values in net.state_dict().items():
        if name.endswith("running_mean"):
            values.normal_(0, 0.2)
        elif name.endswith("running_var"):
            values.uniform_(0.5, 2)
        elif values.ndim in (1, 3):
            values.add_(torch.randn(values.shape) * 0.2)
        elif values.ndim > 1:  # He's: PyTorch's own let the images fade behind the biases
            values.normal_(0, (2 / values[0].numel()) ** 0.5)
    return net


def logits(net, images):
    """What the network gives for images with channels last."""
    with torch.no_grad():
        return net(torch.tensor(images).permute(0, 3, 1, 2)).numpy()
