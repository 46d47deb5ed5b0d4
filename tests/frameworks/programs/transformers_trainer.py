"""Transformers: its `Trainer` with `report_to="wandb"`, on a tiny random model."""

import os

import torch
from transformers import GPT2Config, GPT2LMHeadModel, Trainer, TrainingArguments, set_seed

os.environ["WANDB_WATCH"] = "gradients"


class Data(torch.utils.data.Dataset):
    def __len__(self):
        return 32

    def __getitem__(self, index):
        ids = torch.arange(index, index + 8) % 50
        return {"input_ids": ids, "labels": ids}


def main():
    set_seed(1)
    model = GPT2LMHeadModel(GPT2Config(n_layer=1, n_head=2, n_embd=8, vocab_size=50, n_positions=16))
    arguments = TrainingArguments(
        output_dir="out",
        report_to="wandb",
        run_name="tiny",
        max_steps=20,
        logging_steps=5,
        eval_strategy="steps",
        eval_steps=10,
        save_strategy="no",
        per_device_train_batch_size=4,
        use_cpu=True,
        disable_tqdm=True,
    )
    trainer = Trainer(model=model, args=arguments, train_dataset=Data(), eval_dataset=Data())
    trainer.train()
    import wandb

    assert wandb.run is not None
    wandb.finish()


main()
