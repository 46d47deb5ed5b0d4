"""timm: what its training script does with wandb: a namespace as config, and `update_summary` after each epoch."""

import argparse
from collections import OrderedDict

import wandb
from timm.utils.summary import update_summary


def main():
    arguments = argparse.Namespace(model="resnet18", lr=0.1, opt_kwargs={"eps": 1e-8}, aa=None)
    wandb.init(name="timm", config=arguments, tags=["a"], resume=None, id=None)
    for epoch in range(3):
        update_summary(
            epoch,
            OrderedDict(loss=1.0 / (epoch + 1)),
            OrderedDict(loss=2.0, top1=50.0 + epoch, top5=90.0),
            filename="summary.csv",
            lr=0.1,
            write_header=epoch == 0,
            log_wandb=True,
        )


main()
