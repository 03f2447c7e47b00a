"""The same rounds as a plain PyTorch loop: copy the model, train, average."""

import copy

import torch
from torch import nn

from benchmarks.paired import serve
from benchmarks.peers.networks import SFCN, picture_net


def set_up(task: dict):
    """A lap is `rounds` rounds."""
    torch.manual_seed(0)
    if task["case"] == "volumes":
        model, loss, size = SFCN([32, 64, 128]), lambda y, t: (y[:, 0] - t).abs().mean(), 8
        data = [(torch.randn(80, 1, 26, 26, 26), torch.randn(80)) for _ in range(task["clients"])]
        memory, make = torch.channels_last_3d, lambda p: torch.optim.Adam(p, 1e-3, fused=True)
    else:
        model, loss, size = picture_net(), nn.functional.cross_entropy, 10
        data = [
            (torch.randn(100, 1, 28, 28), torch.randint(0, 10, (100,)))
            for _ in range(task["clients"])
        ]
        memory, make = torch.contiguous_format, lambda p: torch.optim.SGD(p, 0.05)

    def client(x: torch.Tensor, target: torch.Tensor) -> dict:
        local = copy.deepcopy(model).to(memory_format=memory)
        optimizer = make(local.parameters())
        order = torch.randperm(len(target))
        for step in range(task["steps"]):
            index = order[(step * size) % len(target) :][:size]
            optimizer.zero_grad()
            loss(local(x[index].contiguous(memory_format=memory)), target[index]).backward()
            optimizer.step()
        return local.state_dict()

    def lap() -> None:
        for _ in range(task["rounds"]):
            chosen = torch.randperm(len(data))[: task["cohort"]]
            states = [client(*data[i]) for i in chosen]
            mean = {n: torch.stack([s[n].float() for s in states]).mean(0) for n in states[0]}
            model.load_state_dict(mean)

    return lap


if __name__ == "__main__":
    serve(set_up, "torch", "monai")
