"""Accelerate: `log_with="wandb"`, in one process or several."""

import os

import torch
from accelerate import Accelerator
from accelerate.utils import set_seed


def main():
    set_seed(1)
    accelerator = Accelerator(log_with="wandb", cpu=True)
    accelerator.init_trackers(
        os.environ["WANDB_PROJECT"],
        config={"lr": 0.1, "size": accelerator.num_processes},
        init_kwargs={"wandb": {"name": "tiny", "tags": ["a"]}},
    )
    model = torch.nn.Linear(4, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    model, optimizer = accelerator.prepare(model, optimizer)
    for step in range(5):
        loss = model(torch.ones(2, 4)).pow(2).mean()
        accelerator.backward(loss)
        optimizer.step()
        optimizer.zero_grad()
        accelerator.log({"loss": loss.item(), "step": step}, step=step * 2)
    if accelerator.is_main_process:
        accelerator.get_tracker("wandb", unwrap=True).summary["done"] = True
    accelerator.end_training()


if __name__ == "__main__":
    main()
