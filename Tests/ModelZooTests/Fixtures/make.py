# How the .pth files beside this one were made, with PyTorch 2.13: what torch.save writes, for the tests that read it.
import torch
from torch import nn

base = torch.arange(24, dtype=torch.float32)
torch.save(
    {
        "transposed": base.view(4, 6).t(),  # of the storage that the next two share
        "middle": base[5:9],
        "column": base.view(4, 6)[:, 2],
        "channels_last": base.view(1, 2, 3, 4).contiguous(memory_format=torch.channels_last),
        "parameter": nn.Parameter(torch.tensor([[1.0, -2.0], [3.5, 0.25]])),
        "half": torch.tensor([1.5, -0.25, 65504.0]).half(),
        "bfloat": torch.tensor([1.5, -0.25, 3e38]).bfloat16(),
        "double": torch.tensor([0.1, -1e300], dtype=torch.float64),
        "long": torch.tensor(7),
        "none": torch.zeros(0, 3),
        "expanded": torch.ones(1).expand(2, 3),
    },
    "views.pth",
)

net = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
net(torch.ones(2, 2)).sum().backward()
optimizer.step()
with torch.no_grad():
    for i, tensor in enumerate(net.state_dict().values()):
        tensor.copy_(torch.arange(tensor.numel()).view(tensor.shape) + 10 * i)
torch.save(
    {
        "epoch": 3,
        "arch": "net",
        "best": torch.tensor(0.5),
        "state_dict": nn.DataParallel(net).state_dict(),
        "optimizer": optimizer.state_dict(),
    },
    "checkpoint.pth",
)

kinds = """float64 float32 float16 bfloat16 int64 int32 int16 int8 uint64 uint32 uint16 uint8 bool
    float8_e4m3fn float8_e5m2 float8_e4m3fnuz float8_e5m2fnuz float8_e8m0fnu"""
torch.save(
    {kind: torch.tensor([0.5, 1.0, 2.0, 4.0]).to(getattr(torch, kind)) for kind in kinds.split()},
    "kinds.pth",
    pickle_protocol=4,
)
